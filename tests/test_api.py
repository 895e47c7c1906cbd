"""The notebook interface: a pair's name in, images out."""

import numpy as np
import pytest
import torch

from tstitch import UserError, evaluate, load
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling

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


@pytest.mark.parametrize(
    "classes",
    [["Bag", "Ankle boot"], np.array([8, 9]), torch.tensor([8, 9]), [np.int64(8), "ankle boot"]],
    ids=str,
)
def test_classes_and_seeds_of_every_kind(classes):
    """Catches: names, arrays and tensors that end in a TypeError, numpy's seed refused."""
    sampler = load("fashion_mnist", *TRIAL)
    expected = sampler([8, 9], seed=3)
    got = sampler(classes, seed=np.int64(3), first_index=torch.tensor(0))
    np.testing.assert_array_equal(got, expected)
    assert sampler.class_names[8] == "Bag"


def test_values_that_are_no_classes_or_seeds():
    """Catches: 5.7 cut to class 5, true taken for 1, a seed cut to a whole number."""
    sampler = load("fashion_mnist", *TRIAL)
    for classes in ([5.7], [True], ["Bags"], "Bag", 5, np.array([1.0]), torch.tensor([True])):
        with pytest.raises(UserError, match=r"^classes: [^\n]*$"):
            sampler(classes)
    for seed in (1.5, -1, True, "1", None, 2**70):
        with pytest.raises(UserError, match=r"^seed=[^\n]*: choose a whole number from 0"):
            sampler([1], seed=seed)
    with pytest.raises(UserError, match=r"^first_index=-1: "):
        sampler([1], first_index=-1)
    with pytest.raises(UserError, match=rf"^first_index={2**63 - 1}: .* to {2**63 - 2}$"):
        sampler([1, 2], first_index=2**63 - 1)  # the second image would have none


@pytest.mark.parametrize("words", [(3,), ("fashion_mnist", ["stitch.fraction=0.4"])])
def test_overrides_that_are_no_text(words):
    """Catches: a traceback from inside Hydra for a list in place of words."""
    with pytest.raises(UserError, match=r"^overrides: .* is no text; give each as one"):
        load(*words)


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
    assert found.metrics["fid"].value == 0  # not -5.2e-07
    tensors = evaluate(torch.from_numpy(images), torch.from_numpy(images), *overrides)
    assert tensors.metrics == found.metrics
    assert found.metrics["precision"].value == found.metrics["recall"].value == 1
    with pytest.raises(UserError, match="^reference=array: images are float64"):
        evaluate(images, images / 255.0, *overrides)
    for odd in (torch.empty(4, 28, 28, device="meta"), torch.zeros(4, 28, 28).to_sparse()):
        with pytest.raises(UserError, match="^images: is no plain tensor"):  # no traceback
            evaluate(odd, images, *overrides)
    with pytest.raises(UserError, match=r"^evaluation.extractor=None: choose"):
        evaluate(images, images, "evaluation=none")  # the reference is not to blame
    for wrong in ([images], None, 3):
        with pytest.raises(UserError, match="^images: is a .*; give a uint8 array or tensor"):
            evaluate(wrong, images, *overrides)
