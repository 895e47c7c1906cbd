"""What was measured of arms, and their differences over images and over seeds of trainings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from evaluation.metrics.catalogue import find_metric
from evaluation.metrics.jackknife import Interval, interval
from evaluation.metrics.measured import Measured
from tstitch.paper.figure.base import FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.kinds.arms_features import FeatureCourse
from tstitch.paper.kinds.arms_students import Training
from tstitch.paper.kinds.arms_timing import ArmTimes


@dataclass(frozen=True, slots=True)
class Arm:
    """What was measured of an arm: one run, or one of each student."""

    name: str
    results: Sequence[Result]  # by seed
    paired: Sequence[Mapping[str, Measured]]  # of each, with the first arm's images, by key
    seeds: Sequence[int]
    is_trained: bool
    series: str | None

    def measured(self, metric: str) -> list[Measured]:
        """A metric of each run; empty if one has not got it."""
        found = [
            result.metrics.get(metric) or paired.get(metric)
            for result, paired in zip(self.results, self.paired, strict=True)
        ]
        return [entry for entry in found if entry is not None] if all(found) else []

    def mean(self, metric: str) -> Interval | None:
        """Over its seeds; other images and other seeds would lie in the interval."""
        found = self.measured(metric)
        if not found:
            return None
        mean, known = over_seeds(found, [0.0] * len(found)), find_metric(metric)
        # What is never negative, and shares, end where they end.
        high = min(mean.high, 1.0) if known is not None and known.is_share else mean.high
        return Interval(mean.value, max(0.0, mean.low), high)

    @property
    def first(self) -> Result:
        """Of its first seed: what all of them cost is the same."""
        return self.results[0]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a figure of arms measures besides its points."""

    paired: Sequence[Mapping[str, Measured]]  # of every point, with the first arm's images
    trainings: Mapping[str, Sequence[Training]]  # by arm, of each seed
    # FLOPs of encoder and decoder by denoiser of the first arm's pair, small to large; empty = it
    # is of other networks than U-Nets.
    parts: Mapping[str, tuple[int, int]]
    times: ArmTimes | None
    course: FeatureCourse | None


def arms_of(data: FigureData) -> dict[str, Arm]:
    """The arms of a figure by name, in order."""
    figure, found = data.figure, dict[str, Arm]()
    rest = list(zip(data.results, data.measured.paired, strict=True))
    for settings in figure.arms:  # type: ignore[attr-defined]
        own, rest = rest[: len(settings.seeds)], rest[len(settings.seeds) :]
        found[settings.arm] = Arm(
            settings.arm,
            [result for result, _ in own],
            [paired for _, paired in own],
            settings.seeds,
            settings.student is not None,
            settings.series,
        )
    return found


def over_seeds(values: Sequence[Measured], others: Sequence[float | Measured]) -> Interval:
    """Mean of value - other over seeds, with the 95 % interval of images and of seeds together.

    The two half widths are independent and add as squares: the jackknife's of the mean over groups
    of images that all seeds share, and Student's t of the seeds. Of one seed the latter is not
    known and left out.

    Args:
        values: one per seed.
        others: what is subtracted from each; a number, or measured on the same images.
    """
    rows = []
    for value, other in zip(values, others, strict=True):
        if isinstance(other, Measured):
            groups = zip(value.replicates, other.replicates, strict=True)
            rows.append((value.value - other.value, [a - b for a, b in groups]))
        else:
            rows.append((value.value - other, [a - other for a in value.replicates]))
    singles = [single for single, _ in rows]
    replicates = [fmean(group) for group in zip(*(groups for _, groups in rows), strict=True)]
    by_images = interval(fmean(singles), replicates)
    reach = math.hypot(by_images.high - by_images.value, _reach_of_seeds(singles))
    return Interval(by_images.value, by_images.value - reach, by_images.value + reach)


def _reach_of_seeds(values: Sequence[float]) -> float:
    """Half of the 95 % interval of their mean; 0 of one."""
    from scipy.special import stdtrit

    count = len(values)
    if count < 2:
        return 0.0
    return float(stdtrit(count - 1, 0.975)) * stdev(values) / math.sqrt(count)


def difference(one: Arm, other: Arm, metric: str) -> Interval | None:
    """One arm's metric minus another's, seed by seed; None if it was not measured of both.

    Students of one seed began alike and saw the same captions. An arm that is not trained is the
    same for every seed.
    """
    pairs = []
    for seed in _seeds(one, other):
        found = [_of_seed(arm, metric, seed) for arm in (one, other)]
        if found[0] is None or found[1] is None:
            return None
        pairs.append((found[0], found[1]))
    return over_seeds([a for a, _ in pairs], [b for _, b in pairs]) if pairs else None


def seeds_in_common(one: Arm, other: Arm) -> int:
    """How many seeds a difference is of, where both are trained."""
    return len(_seeds(one, other))


def _seeds(one: Arm, other: Arm) -> list[int]:
    if not one.is_trained:
        return list(other.seeds)
    return [seed for seed in one.seeds if not other.is_trained or seed in other.seeds]


def _of_seed(arm: Arm, metric: str, seed: int) -> Measured | None:
    found = arm.measured(metric)
    if not found:
        return None
    return found[list(arm.seeds).index(seed)] if arm.is_trained else found[0]
