"""scripts/reference.py: statistics of a data set, and what its test split reaches."""

import json

import numpy as np
import pytest
import torch
from idx_files import write_idx
from safetensors.torch import save_file

from evaluation.features.classifier import Classifier, ClassifierExtractor
from evaluation.features.reference import open_reference
from tstitch.config.cli import compose
from tstitch.data.datasets import idx_folder
from tstitch.runtime.errors import UserError
from tstitch.scoring.make_reference import make_reference

COUNT = 60


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    """A data set of two splits, an extractor with random weights, where to write."""
    folder, draws = tmp_path_factory.mktemp("reference"), np.random.default_rng(0)
    for split in ("train", "t10k"):
        images = draws.integers(0, 256, (COUNT, 28, 28))
        write_idx(folder / f"{split}-images-idx3-ubyte", images)
        write_idx(folder / f"{split}-labels-idx1-ubyte", np.arange(COUNT) % 10)
    torch.manual_seed(0)
    save_file(Classifier(10).state_dict(), folder / "classifier.safetensors")
    return [
        "data=idx_folder",
        f"data.folder={folder}",
        f"evaluation.weights={folder}/classifier.safetensors",
        f"output={folder}/out/reference.npz",
        f"floor={folder}/out/floor.json",
        "floor_images=[20,60]",
        "features=30",
        "device=cpu",
    ], folder


@pytest.mark.slow
def test_statistics_and_floor(overrides):
    """Catches: moments of another split or number of images, features in another order, a floor
    measured against itself."""
    words, folder = overrides
    make_reference(compose("reference", words))
    reference = open_reference(folder / "out" / "reference.npz", "reference")
    images = idx_folder(str(folder)).tensors[0]
    with torch.no_grad():
        extractor = ClassifierExtractor(folder / "classifier.safetensors").eval()
        features = extractor(images.expand(-1, 3, -1, -1))
    pool = features["pool"].double().numpy()
    assert reference.num_images == COUNT and reference.features.shape == (30, 128)
    mean, covariance = reference.gaussians["pool"]
    assert np.allclose(mean, pool.mean(0))
    assert np.allclose(covariance, np.cov(pool, rowvar=False))
    assert np.allclose(reference.features, pool[:30], rtol=2e-3, atol=1e-3)
    spatial = features["spatial"].double().numpy()
    assert np.allclose(reference.gaussians["spatial"][1], np.cov(spatial, rowvar=False))
    floors = json.loads((folder / "out" / "floor.json").read_text())
    assert [floor["num_images"] for floor in floors] == [20, 60]
    assert all(floor["metrics"]["fid"]["value"] > 1e-6 for floor in floors)
    assert all("class_accuracy" in floor["metrics"] for floor in floors)


BAD = [
    (["features=61"], "features=61", "only 60"),
    (["features=3"], "features=3", "at least 4"),
    (["floor_images=[61]"], "floor_images=61", "only 60"),
    (["evaluation=none"], "evaluation.extractor=null", "choose a feature space"),
    (["evaluation.weights=nowhere"], "evaluation.weights", "no such file"),
]


@pytest.mark.parametrize(("more", "start", "inside"), BAD, ids=lambda v: str(v)[:24])
def test_bad_input(overrides, more, start, inside):
    """Catches: a traceback, or a message without field, value or remedy."""
    words, _ = overrides
    kept = [word for word in words if not any(m.split("=")[0] == word.split("=")[0] for m in more)]
    if more == ["evaluation=none"]:
        kept = [word for word in kept if not word.startswith("evaluation.")]
    with pytest.raises(UserError) as caught:
        make_reference(compose("reference", [*kept, *more]))
    message = str(caught.value)
    assert message.startswith(start) and inside in message, message
    assert len(message.splitlines()) == 1
