"""Confidence intervals by the delete-a-group jackknife, for a metric and for paired differences.

Bootstrap percentiles are wrong here: resampling with replacement biases FID upward and shrinks
nearest-neighbour radii.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = 50


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def group_ranges(num_images: int, groups: int = GROUPS) -> list[range]:
    """Consecutive image indices in groups of almost equal size, as many as there are images for.

    With balanced labels a group holds every class equally often if it is a multiple of the number
    of classes; if it is not, the intervals are a little too wide.
    """
    count = min(groups, num_images)
    edges = [number * num_images // count for number in range(count + 1)]
    return [range(first, end) for first, end in zip(edges, edges[1:], strict=False)]


def interval(value: float, replicates: Sequence[float]) -> Interval:
    """The 95 % interval of an estimate.

    Args:
        value: the estimate from all images.
        replicates: the estimate without each group, in order; at least two.
    """
    from scipy.special import stdtrit

    count = len(replicates)
    mean = math.fsum(replicates) / count
    spread = math.fsum((replicate - mean) ** 2 for replicate in replicates)
    error = math.sqrt((count - 1) / count * spread)
    reach = float(stdtrit(count - 1, 0.975)) * error  # Student's t
    return Interval(value, value - reach, value + reach)


def paired_difference(
    value: float, replicates: Sequence[float], base: float, base_replicates: Sequence[float]
) -> Interval:
    """The 95 % interval of value - base, both measured on the same image indices.

    The replicates are subtracted group by group: what the common noise and labels do to both runs
    cancels.

    Raises:
        ValueError: another number of groups.
    """
    if len(replicates) != len(base_replicates):
        raise ValueError(
            f"groups={len(replicates)}: the run to compare with has {len(base_replicates)}; "
            "evaluate both with the same number"
        )
    differences = [a - b for a, b in zip(replicates, base_replicates, strict=True)]
    return interval(value - base, differences)
