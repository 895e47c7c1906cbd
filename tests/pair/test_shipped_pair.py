"""The shipped weights: intact, of the stated sizes, and really of the ten classes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.cost.flops import count_flops
from models.download import sha256_of
from tstitch import load
from tstitch.config.cli import compose
from tstitch.pair.spec import build_network, load_network, locate_weights, parse_pair
from tstitch.pair.weights import PRETRAINED, shipped_digests

MEANS = Path(__file__).parent.parent / "fixtures" / "fashion_mnist_class_means.npy"
STEPS_KEPT = sorted((PRETRAINED / "fashion_mnist").glob("small-*.safetensors"))


@pytest.fixture(scope="module")
def trio():
    return parse_pair(compose("sample", ["pair=fashion_mnist_trio", "stitch=fractions"])["pair"])


def test_digests_are_the_listed_ones(trio):
    """Catches weights that were replaced without their digests: results would change unseen."""
    read = ("", ".csv", ".md", ".txt")
    found = (path for path in PRETRAINED.rglob("*") if path.is_file() and path.suffix not in read)
    files = {path.relative_to(PRETRAINED).as_posix() for path in found}
    assert shipped_digests().keys() == files
    assert all(sha256_of(PRETRAINED / name) == d for name, d in shipped_digests().items())
    for spec in trio.denoisers:
        assert load_network(trio, spec, locate_weights(spec)) is not None


def test_sizes(trio):
    """Catches a pair that is no pair: the small one costs at most a tenth of the large one."""
    flops, parameters = [], []
    for spec in trio.denoisers:
        with torch.device("meta"):
            network = build_network(trio, spec)
        flops.append(count_flops(network, trio.space.shape))
        parameters.append(sum(p.numel() for p in network.parameters()))
    assert flops[0] * 10 <= flops[2]
    assert flops[0] < flops[1] < flops[2]
    assert 5e6 <= parameters[2] <= 12e6


def test_intermediate_checkpoints_fit_the_small_denoiser(trio):
    """Catches missing or misshaped checkpoints of the small model along its training."""
    assert 4 <= len(STEPS_KEPT) <= 6
    for path in STEPS_KEPT:
        assert load_network(trio, trio.denoisers[0], path) is not None


@pytest.mark.parametrize(("fraction", "least"), [(0.0, 0.7), (0.4, 0.7), (1.0, 0.5)])
def test_images_show_their_classes(fraction, least):
    """Catches a grid of noise: each image must lie nearest to the mean image of its own class.

    Real test images do so for 68 % of them, noise for 10 %.
    """
    sampler = load("fashion_mnist", f"stitch.fraction={fraction}", "sampler.steps=15")
    labels = np.arange(60) % 10
    images = sampler(classes=list(labels), seed=1)[..., 0].reshape(60, -1).astype(float)
    means = np.load(MEANS).reshape(10, -1).astype(float)
    nearest = np.square(images[:, None] - means[None]).sum(-1).argmin(1)
    assert (nearest == labels).mean() >= least
