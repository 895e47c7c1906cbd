"""What was measured of stitching orders, pair by pair: each beside all large and beside first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.metrics.jackknife import Interval
from evaluation.metrics.measured import Measured
from tstitch.paper.figure.measure import Result
from tstitch.paper.kinds.orders_plan import FIRST


@dataclass(frozen=True, slots=True)
class Order:
    """A run of a row."""

    result: Result
    paired: Mapping[str, Measured]  # with the images of all large, by key

    @property
    def label(self) -> str:
        """As the configuration names it."""
        return self.result.point.planned.label

    @property
    def models(self) -> tuple[int, ...]:
        """Which model runs each step, noisiest first; 0 = small."""
        return self.result.point.experiment.step_models

    @property
    def images(self) -> int:
        """That it was measured with."""
        return self.result.point.images


@dataclass(frozen=True, slots=True)
class Row:
    """The orders of one pair and protocol."""

    large: Order
    orders: Sequence[Order]
    small: Order

    @property
    def title(self) -> str:
        """`fashion_mnist: DDIM 25 steps, guidance 1.5`."""
        return self.large.result.point.planned.series

    @property
    def pair(self) -> str:
        """Its name."""
        return self.large.result.point.experiment.name

    @property
    def every(self) -> list[Order]:
        """All large, the orders, all small."""
        return [self.large, *self.orders, self.small]

    @property
    def first(self) -> Order:
        """The order that is compared with the others."""
        return next(order for order in self.orders if order.label == FIRST)

    @property
    def others(self) -> list[Order]:
        """The orders whose schedule is not that of first."""
        return [order for order in self.orders if order.models != self.first.models]

    @property
    def twins(self) -> list[str]:
        """Labels of the orders that came to the schedule of first."""
        same = [order.label for order in self.orders if order.models == self.first.models]
        return [label for label in same if label != FIRST]

    @property
    def cost(self) -> str:
        """`10 of 25 steps small, 400 images`."""
        first = self.first
        return f"{first.models.count(0)} of {len(first.models)} steps small, {first.images} images"

    def rise(self, order: Order) -> Interval:
        """The paired difference of FID to all large."""
        return order.result.minus(self.large.result)


def compare_orders(
    results: Sequence[Result], paired: Sequence[Mapping[str, Measured]]
) -> list[Row]:
    """The rows of a figure.

    Args:
        results: of its points: in every row all large, the orders, all small.
        paired: of every point, with the images of its row's large model alone.
    """
    found: dict[int, list[Order]] = {}
    for result, own in zip(results, paired, strict=True):
        found.setdefault(result.point.curve, []).append(Order(result, own))
    return [Row(large, orders, small) for large, *orders, small in found.values()]
