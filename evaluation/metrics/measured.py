"""What was measured: a metric with its interval, and its difference to another run's."""

from dataclasses import dataclass
from typing import Self

from evaluation.metrics.jackknife import Interval, paired_difference


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A value with its 95 % interval, low <= value <= high."""

    name: str  # with the feature space, e.g. "FID (Fashion-MNIST classifier)"
    value: float
    low: float
    high: float
    replicates: tuple[float, ...] = ()  # without each group of images; empty = not kept
    flags: tuple[str, ...] = ()  # why it means little (evaluation.metrics.flags)

    @property
    def interval(self) -> Interval:
        """The value between its bounds."""
        return Interval(self.value, self.low, self.high)

    def minus(self, other: Self) -> Interval:
        """The paired difference to the same metric of another run, on the same image indices.

        Raises:
            ValueError: another number of groups.
        """
        return paired_difference(self.value, self.replicates, other.value, other.replicates)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A run's metric minus that of its series' all-large run, with the paired 95 % interval."""

    difference: float
    low: float
    high: float
