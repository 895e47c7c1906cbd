"""Diversity retention: known values, which pairs count, and how often its interval holds it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.metrics import blocks
from evaluation.metrics.jackknife import group_ranges, paired_difference
from evaluation.metrics.measured import Measured
from evaluation.paired.catalogue import measure_paired
from evaluation.paired.diversity import class_distances
from evaluation.paired.runs import PairedImages

CLASSES, DIMENSION = 5, 4


def draw(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64)


def retention(own: Tensor, base: Tensor, labels: Tensor, groups: int = 10) -> Measured | None:
    sizes = torch.tensor([len(group) for group in group_ranges(len(own), groups)])
    errors, numbers = torch.zeros(len(own)), torch.repeat_interleave(sizes)
    return measure_paired(PairedImages(own, base, errors, labels, numbers), "").get("diversity")


def balanced(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def test_a_run_keeps_its_own_diversity():
    """Catches: an estimate that is biased by the pair of an image with itself."""
    base = draw(60)
    found = retention(base, base, balanced(60))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1), abs=1e-12)
    assert found.name == "diversity retention (Inception)"


def test_equal_images_have_none():
    """Catches: distances to the base, or between classes, taken for diversity."""
    base, labels = draw(60), balanced(60)
    constant = torch.ones(60, DIMENSION, dtype=torch.float64)
    assert retention(constant, base, labels).value == 0
    per_class = draw(CLASSES, 1)[labels]  # classes differ, images of one class do not
    assert retention(per_class, base, labels).value == 0
    assert retention(base, constant, labels) is None


def test_scale_is_retention():
    """Catches: squared distances, a quotient upside down; features that are moved count as kept."""
    base, labels = draw(60), balanced(60)
    for scale in (0.5, 0.9, 1.2):
        found = retention(7 + scale * base, base, labels)
        assert found.value == pytest.approx(scale) == found.low
        assert found.replicates == pytest.approx([scale] * 10)


def test_against_all_pairs_one_by_one(monkeypatch):
    """Catches: pairs of two classes, pairs left out at the borders of blocks or groups."""
    own, labels = draw(47), torch.randint(3, (47,), generator=torch.Generator().manual_seed(1))
    groups = torch.repeat_interleave(torch.tensor([len(g) for g in group_ranges(47, 6)]))
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 64)
    found = class_distances(own, labels, groups)

    def mean(left_out: int | None) -> float:
        kept = [i for i in range(47) if left_out is None or groups[i] != left_out]
        pairs = [(i, j) for i in kept for j in kept if i < j and labels[i] == labels[j]]
        return float(np.mean([float((own[i] - own[j]).norm()) for i, j in pairs]))

    for left_out in (None, *range(6)):
        assert found.mean(left_out) == pytest.approx(mean(left_out), rel=1e-9)


def test_permuted_images_of_a_class_keep_it():
    """Catches: a retention that asks which image belongs to which, as closeness does."""
    base, labels = draw(60), balanced(60)
    inside = torch.arange(60).roll(CLASSES)  # to the next image of the same class
    assert retention(base[inside], base, labels).value == pytest.approx(1)
    across = torch.arange(60).roll(1)
    shifted = base + 5 * labels[:, None]  # classes far apart
    assert retention(shifted[across], shifted, labels).value == pytest.approx(1)
    mixed = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert retention(shifted[mixed], shifted, labels).value > 2


def test_no_two_images_of_one_class():
    """Catches: 0 / 0 in the value, or only in the replicate without some group."""
    base = draw(12)
    assert retention(base, base, torch.arange(12)) is None
    twins = torch.tensor([0, 0, *range(1, 11)])
    assert retention(base, base, twins, groups=6) is None
    assert measure_paired(
        PairedImages(base, base, torch.zeros(12), None, torch.arange(12)), ""
    ).keys() == {"rms", "feature_distance"}


def test_the_interval_holds_the_value():
    """Catches: a jackknife that leaves out half of the pairs of a group, or counts them twice.

    Features of which 90 % of the scale are kept, with noise that is shared but for a fifth."""
    kept, held, repetitions, labels = 0.9, 0, 150, balanced(200)
    width = []
    for seed in range(repetitions):
        base, fresh = draw(200, seed), draw(200, 10_000 + seed)
        found = retention(kept * (math.sqrt(0.96) * base + 0.2 * fresh), base, labels, 20)
        held += found.low <= kept <= found.high
        width.append(found.high - found.low)
    assert 0.9 <= held / repetitions <= 1
    assert np.mean(width) < 0.1


def test_differences_of_two_runs_are_paired():
    """Catches: replicates in another order than the groups of images."""
    base, labels = draw(200), balanced(200)
    first, second = (retention(s * base + 0.1 * draw(200, 5), base, labels) for s in (0.9, 0.95))
    change = second.minus(first)
    assert change == paired_difference(
        second.value, second.replicates, first.value, first.replicates
    )
    assert 0.04 < change.low < change.value < change.high < 0.06
