"""The Inception Score against torch-fidelity and closed forms."""

import math

import pytest
import torch
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

from evaluation.metrics.inception_score import inception_score, num_splits, score_sums, split_of

CLASSES = 10


def logits(count: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(count, CLASSES, generator=torch.Generator().manual_seed(seed))


def score(values: torch.Tensor, groups: int = 7) -> float:
    """Ours, from the sums of groups of images as they come from several ranks."""
    count = len(values)
    edges = [number * count // groups for number in range(groups + 1)]
    sums = [
        score_sums(values[a:b], split_of(range(a, b), count), num_splits(count))
        for a, b in zip(edges, edges[1:], strict=False)
    ]
    return inception_score(torch.stack(sums).sum(0))


@pytest.mark.parametrize("count", [10, 4999, 5000, 9999, 10_000, 17_003])
def test_agrees_with_torch_fidelity(count):
    """Catches: other borders of the splits, a base-2 logarithm, a shuffle."""
    values = logits(count)
    expected = isc_features_to_metric(values, splits=num_splits(count), shuffle=False)
    assert score(values) == pytest.approx(expected[KEY_METRIC_ISC_MEAN], rel=1e-9)


@pytest.mark.parametrize(
    ("count", "splits"), [(1, 1), (4999, 1), (5000, 1), (9999, 1), (10_000, 2), (50_000, 10)]
)
def test_splits_of_five_thousand(count, splits):
    """Catches: ten splits of few images, as other code has them."""
    assert num_splits(count) == splits
    numbers = split_of(range(count), count)
    sizes = torch.bincount(numbers)
    assert len(sizes) == splits and sizes.max() - sizes.min() <= 1
    assert torch.equal(numbers, numbers.sort().values)


def test_uniform_predictions_score_one():
    """Catches: an entropy with the wrong sign."""
    assert score(torch.zeros(300, CLASSES)) == pytest.approx(1, rel=1e-12)
    assert score(logits(1).expand(300, -1)) == pytest.approx(1, rel=1e-9)


def test_certain_and_balanced_predictions_score_the_classes():
    """Catches: 0 log 0 that becomes NaN."""
    values = 2000 * torch.eye(CLASSES).repeat(30, 1)
    assert score(values) == pytest.approx(CLASSES, rel=1e-12)


def test_splits_are_in_order():
    """Catches: shuffled or interleaved splits, which would see every class."""
    certain = 2000 * torch.eye(CLASSES)
    values = certain.repeat_interleave(1000, 0)  # the first split has classes 0..4
    assert score(values) == pytest.approx(CLASSES / 2, rel=1e-12)
    assert score(certain.repeat(1000, 1)) == pytest.approx(CLASSES, rel=1e-12)


def test_mean_over_splits_of_the_exponentials():
    """Catches: the exponential of the mean."""
    certain = 2000 * torch.eye(CLASSES)
    values = torch.cat([certain.repeat(500, 1), certain[:1].expand(5000, -1)])
    assert score(values) == pytest.approx((CLASSES + 1) / 2, rel=1e-12)


def test_a_split_without_images_is_left_out():
    """Catches: NaN intervals where a group of the jackknife is a whole split."""
    values = logits(10_000)
    split = split_of(range(10_000), 10_000)
    sums = score_sums(values, split, 2)
    rest = sums - score_sums(values[5000:], split[5000:], 2)
    expected = isc_features_to_metric(values[:5000], splits=1, shuffle=False)
    assert inception_score(rest) == pytest.approx(expected[KEY_METRIC_ISC_MEAN], rel=1e-9)


def test_sums_are_float64():
    """Catches: float32 sums, which drift with the number of images."""
    values = logits(5000)
    sums = score_sums(values, torch.zeros(5000, dtype=torch.long), 1)
    assert sums.dtype == torch.float64 and sums.shape == (1, CLASSES + 2)
    assert float(sums[0, :CLASSES].sum()) == pytest.approx(5000, rel=1e-12)
    assert math.isfinite(float(sums.sum()))
