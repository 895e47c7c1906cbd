"""The intervals: their formula, and how often they hold the value that they estimate."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.frechet import FID, FrechetReference
from evaluation.metrics.jackknife import Interval, group_ranges, interval, paired_difference
from evaluation.metrics.moments import Moments

DIMENSION, GROUPS = 4, 50


@pytest.mark.parametrize(("count", "groups"), [(1000, 50), (1013, 50), (50, 50), (7, 50), (9, 2)])
def test_groups_are_consecutive_and_even(count, groups):
    """Catches: empty groups, images in none, a last group that takes the remainder."""
    ranges = group_ranges(count, groups)
    assert [index for group in ranges for index in group] == list(range(count))
    assert len(ranges) == min(groups, count)
    sizes = {len(group) for group in ranges}
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_interval_of_a_mean_is_students():
    """Catches: a factor G or G - 1, normal in place of Student quantiles."""
    from scipy.stats import t

    groups = np.random.default_rng(0).normal(3, 2, (10, 7))
    means = groups.mean(1)
    replicates = [float(np.delete(groups, g, 0).mean()) for g in range(10)]
    found = interval(float(groups.mean()), replicates)
    low, high = t.interval(0.95, 9, means.mean(), means.std(ddof=1) / math.sqrt(10))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.value == groups.mean()


def test_interval_is_around_the_value():
    """Catches: an interval around the mean of the replicates, which is biased like N - N/G."""
    found = interval(5.0, [1.0, 2.0])
    assert found.high - 5 == pytest.approx(5 - found.low) and found.high > found.low
    assert interval(5.0, [5.0] * 4) == Interval(5.0, 5.0, 5.0)


def test_paired_difference_subtracts_group_by_group():
    """Catches: variances that are added as if the runs were independent."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=20)
    own = base + 0.01 * rng.normal(size=20)
    found = paired_difference(1.5, list(own), 1.0, list(base))
    assert found == interval(0.5, list(own - base))
    assert found.high - found.low < 0.1 * (interval(1.5, list(own)).high - 1.5)


def test_paired_difference_needs_the_same_groups():
    """Catches: replicates of other groups that are subtracted as far as they go."""
    with pytest.raises(ValueError, match="groups=3: .* has 2; evaluate both") as caught:
        paired_difference(1.0, [1.0] * 3, 1.0, [1.0] * 2)
    assert "\n" not in str(caught.value)


def draw(
    seed: int,
    count: int,
    shift: float,
    scale: float,
    own: float = 0.0,
    dimension: int = DIMENSION,
) -> Tensor:
    """Gaussian features; sets of one seed share their noise but for the part `own`."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    extra = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    return shift + scale * (math.sqrt(1 - own**2) * common + own * extra)


def standard(dimension: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the standard normal distribution itself, not of a sample of it."""
    identity = torch.eye(dimension, dtype=torch.float64)
    return torch.zeros_like(identity[0]), identity


@cache
def normal(dimension: int) -> FrechetReference:
    return FrechetReference(*standard(dimension))


@cache
def statistics(dimension: int) -> ReferenceStatistics:
    return ReferenceStatistics({"pool": standard(dimension)})


def fid(values: Tensor) -> float:
    """To the standard normal distribution."""
    moments = Moments.of(values)
    return normal(values.shape[1]).distance(moments.mean, moments.covariance)


def jackknife(values: Tensor) -> tuple[float, list[float]]:
    """FID with its replicates."""
    groups, dimension = group_ranges(len(values), GROUPS), values.shape[1]
    parts = {n: {"pool": values[group.start : group.stop]} for n, group in enumerate(groups)}
    found = FID.estimate(Samples(parts, groups, {"pool": dimension}), statistics(dimension))
    return found.value, list(found.replicates)


def known(shift: float, scale: float) -> float:
    """The distance of the distributions."""
    return DIMENSION * (shift**2 + (scale - 1) ** 2)


def share(intervals: list[Interval], value: float) -> float:
    return sum(found.low <= value <= found.high for found in intervals) / len(intervals)


COUNT, REPETITIONS = 1500, 250
FIRST, SECOND = (0.4, 1.3), (0.36, 1.25)  # shift and scale


@pytest.fixture(scope="module")
def repetitions() -> list[tuple]:
    """Two sets with common noise and their replicates, for many seeds."""
    return [
        (jackknife(draw(seed, COUNT, *FIRST)), jackknife(draw(seed, COUNT, *SECOND, own=0.1)))
        for seed in range(REPETITIONS)
    ]


def expected(shift: float, scale: float) -> float:
    """The mean FID of sets of this size: the known distance, and a bias of the order D^2 / N."""
    values = [fid(draw(10_000 + seed, COUNT, shift, scale)) for seed in range(1000)]
    return sum(values) / len(values)


def test_coverage(repetitions):
    """Catches: intervals that are too narrow, or so wide that they say nothing."""
    intervals = [interval(*first) for first, _ in repetitions]
    target = expected(*FIRST)
    assert target == pytest.approx(known(*FIRST), rel=0.02)
    assert 0.90 <= share(intervals, target) <= 0.985
    assert 0.90 <= share(intervals, known(*FIRST)) <= 0.985


def test_paired_coverage(repetitions):
    """Catches: the same for the difference of two runs with common noise."""
    intervals = [paired_difference(*first, *second) for first, second in repetitions]
    difference = known(*FIRST) - known(*SECOND)
    assert 0.90 <= share(intervals, difference) <= 0.985
    assert all(found.low > 0 for found in intervals)  # each one sees which is better

    def width(found: Interval) -> float:
        return found.high - found.low

    for (first, second), paired in zip(repetitions, intervals, strict=True):
        unpaired = math.hypot(width(interval(*first)), width(interval(*second)))
        assert width(paired) < unpaired / 4


def bootstrap(values: Tensor, seed: int, draws: int = 100) -> Interval:
    """Percentiles of FID over images drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    count = len(values)
    resampled = [
        fid(values[torch.randint(count, (count,), generator=generator)]) for _ in range(draws)
    ]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(fid(values), float(low), float(high))


def test_the_percentile_bootstrap_is_biased():
    """Catches: the belief that resampling with replacement would do as well."""

    def near(seed: int) -> Tensor:
        return draw(seed, 300, 0.0, 1.1, dimension=16)

    sets = [near(seed) for seed in range(40)]
    target = sum(fid(near(10_000 + seed)) for seed in range(500)) / 500
    assert share([bootstrap(values, 5) for values in sets], target) < 0.1
    assert share([interval(*jackknife(values)) for values in sets], target) >= 0.9
