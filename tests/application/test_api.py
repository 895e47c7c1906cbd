"""The notebook interface: a pair's name in, images out."""

import numpy as np
import pytest

from tstitch import evaluate, load
from tstitch.cli import compose
from tstitch.errors import UserError
from tstitch.generate import run_sampling

TRIAL = [
    "pair.denoisers.small.weights=random",
    "pair.denoisers.large.weights=random",
    "sampler.steps=4",
]


def test_images_equal_those_of_a_run(tmp_path):
    """Catches a second sampling path that drifts from the command line's."""
    config = compose(
        "sample",
        [*TRIAL, "engine=plain", "run.num_images=4", "run.batch_size=4", f"run.dir={tmp_path}"],
    )
    folder = run_sampling(config)
    with np.load(folder / "samples.npz") as samples:
        expected, labels = samples["arr_0"], samples["arr_1"]
    sampler = load("fashion_mnist", *TRIAL)
    np.testing.assert_array_equal(sampler(classes=list(labels), seed=0), expected)
    assert sampler.steps_per_denoiser == {"small": 2, "large": 2}


def test_first_index_and_seed_choose_the_noise():
    """Catches an ignored seed or index: every call would return the same images."""
    sampler = load("fashion_mnist", *TRIAL)
    both = sampler(classes=[3, 3], seed=5)
    second = sampler(classes=[3], seed=5, first_index=1)
    assert np.abs(both[1].astype(int) - second[0].astype(int)).max() <= 1
    assert not np.array_equal(both[0], both[1])
    assert not np.array_equal(sampler(classes=[3, 3], seed=6), both)


@pytest.mark.parametrize("classes", [[], [10], [-1, 2]])
def test_bad_classes_are_refused(classes):
    """Catches a label beyond the embedding table, an index error deep in torch."""
    with pytest.raises(ValueError, match="class indices from 0 to 9"):
        load("fashion_mnist", *TRIAL)(classes=classes)


def test_bad_overrides_are_one_line():
    """Catches a Hydra traceback in a notebook."""
    with pytest.raises(UserError, match=r"^sampler.stepz: unknown key; did you mean"):
        load("fashion_mnist", "sampler.stepz=3")


def test_evaluate_arrays():
    """Catches: arrays that only files can stand for, a reference in memory whose defect is a
    traceback."""
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    overrides = ("evaluation=fashion_mnist", "evaluation.groups=6", "device=cpu")
    found = evaluate(images, images, *overrides)
    assert found["metrics"]["fid"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["metrics"]["precision"]["value"] == found["metrics"]["recall"]["value"] == 1
    with pytest.raises(UserError, match="^reference=array: images are float64"):
        evaluate(images, images / 255.0, *overrides)
