"""Orders of small and large steps at equal cost: quality, diversity and closeness to all large."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import field_validator, model_validator

from evaluation.metrics.measured import Measured
from tstitch.config import fields
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.kept import measure_once
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.own_pair import TWO
from tstitch.paper.figure.paired import compare_images, images_key, paired_of
from tstitch.paper.figure.plan import CurvePoint
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.orders_plan import (
    ANCHORS,
    FIRST,
    LABEL,
    STEPS,
    STITCH,
    explicit,
    is_open,
    order_section,
    plan_order,
    plan_pair,
    stand_in,
)
from tstitch.paper.kinds.orders_report import draw_orders, order_lines
from tstitch.paper.kinds.orders_rows import compare_orders
from tstitch.paper.kinds.orders_verdicts import verdict_items
from tstitch.run.schedule import resolve_schedule
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

Found = dict[tuple[int, str], tuple[int, ...]]  # schedules by row and label


class OrderSection(NamedTuple):
    """An order for the steps of a run."""

    label: str
    section: dict[str, Any]  # of its stitch schedule
    field: str  # configuration's name of it, for messages
    is_open: bool  # to be found by measuring


class OrdersFigure(Figure):
    """Rows of runs, one per pair and protocol: every order, and the models alone as anchors.

    Its `curves` name the protocols; each has the fractions 0 and 1, the anchors.
    """

    computed: ClassVar = (*Figure.computed, "found")
    kind: ClassVar = "orders"
    needs_curves: ClassVar = True

    pairs: Annotated[tuple[str, ...], fields.EACH_ONCE, fields.names()]
    small_steps: fields.Count  # of every order
    orders: dict[str, dict[str, Any]]  # by label
    found: Found = {}  # of the orders that are found by measuring

    @field_validator("orders", mode="plain")
    @classmethod
    def _check_orders(cls, orders: Any) -> dict[str, dict[str, Any]]:
        if not fields.is_list(orders) or not all(isinstance(order, Mapping) for order in orders):
            raise ValueError("give a list of sections, one for each order")
        found: dict[str, dict[str, Any]] = {}
        for order in orders:
            label, own = order.get(LABEL), {k: v for k, v in order.items() if k != LABEL}
            known = (STITCH in own) != (list(own) == [STEPS])
            if not isinstance(label, str) or label in (*ANCHORS.values(), *found) or not known:
                raise ValueError(
                    f"{dict(order)}: give a {LABEL} of its own, and {STITCH} (a file of "
                    f"configs/stitch) with its fields, or {STEPS}"
                )
            found[label] = own
        if FIRST not in found or len(found) < 2:
            raise ValueError(f"give at least two orders, one with {LABEL}: {FIRST}")
        return found

    @model_validator(mode="after")
    def _check_anchors(self) -> Self:
        for curve in self.curves:
            ends = sorted(shares[0] for shares in curve.shares) == sorted(ANCHORS)
            if curve.models != TWO or not (ends and curve.is_row):
                raise fields.refusal(
                    "curves",
                    "give each [small, large], one steps and guidance, and fractions [0, 1]",
                )
        return self

    @property
    def images_looked_at(self) -> int:
        return max(curve.images for curve in self.curves)

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """All large, the orders, all small, of every pair and protocol in turn.

        Orders that are not found yet have a schedule that stands for theirs.
        """
        points: list[CurvePoint] = []
        for row, (large, small) in enumerate(self._anchors(settings, trial)):
            points.append(large)
            for place, order in enumerate(self._sections(settings, large)):
                section = order.section
                if order.is_open:
                    models = self.found.get((row, order.label))
                    waiting = stand_in(large.of_denoisers, self.small_steps, place)
                    section = waiting if models is None else explicit(models)
                points.append(
                    plan_order(large, order.label, section, self.small_steps, order.field)
                )
            points.append(small)
        return tuple(points)

    def _anchors(self, settings: Reproduction, trial: bool) -> list[tuple[CurvePoint, CurvePoint]]:
        """All large and all small of every pair and protocol, numbered as rows."""
        anchors = [
            plan_pair(curve, pair, settings, trial=trial)
            for pair in self.pairs
            for curve in self.curves
        ]
        return [
            (replace(large, curve=row), replace(small, curve=row))
            for row, (large, small) in enumerate(anchors)
        ]

    def _sections(self, settings: Reproduction, large: CurvePoint) -> list[OrderSection]:
        """The stitch sections of all orders for the steps of a run."""
        steps, path = len(large.experiment.step_evaluations), f"paper.{settings.scale.name}"
        if self.small_steps >= steps:
            raise UserError(
                f"{path}.small_steps={self.small_steps}: choose fewer than the {steps} steps"
            )
        found = []
        for label, order in self.orders.items():
            section, field = order_section(order, self.small_steps, steps), f"{path}.orders.{label}"
            found.append(OrderSection(label, section, field, is_open(section, large, field)))
        return found

    def cost_lines(self, settings: Reproduction) -> list[str]:
        lines = [
            f"  pairs {', '.join(self.pairs)}; {self.small_steps} small steps; orders "
            f"{', '.join(self.orders)}"
        ]
        large, _ = self._anchors(settings, trial=True)[0]
        measured = [order.label for order in self._sections(settings, large) if order.is_open]
        if measured:
            lines.append(f"  found by measuring, which is not counted: {', '.join(measured)}")
        return lines

    def prepared(self, settings: Reproduction, cache: ModelCache) -> Self:
        """The figure with the schedules that are found by measuring, which are kept under root."""
        found: Found = {}
        for row, (large, _) in enumerate(self._anchors(settings, trial=False)):
            for order in self._sections(settings, large):
                if order.is_open:
                    config = large.experiment.config | {"stitch": order.section}
                    with errors_of(f"{order.field}: ", UserError):
                        resolved, _ = resolve_schedule(config, cache.of(large.experiment))
                    found[row, order.label] = tuple(resolved["stitch"]["models"])
        return self.model_copy(update={"found": found})

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> list[dict[str, Measured]]:
        """Every run against the run of its row's large model alone, in the order of the points."""
        points = self.plan(settings)
        folders = distributed.on_main(lambda: [result.run.folder for result in results])
        key = distributed.on_main(lambda: images_key(results))

        def compare() -> dict[str, Any]:
            return {"paired": compare_images(points, folders, cache)}

        return paired_of(measure_once(self, settings, key, compare)["paired"])

    def pictures(self, data: FigureData) -> "dict[str, Picture]":
        if not self.picture:
            return {}
        rows = compare_orders(data.results, data.measured)
        if len(rows) == 1:
            return {self.name: draw_orders(rows[0])}
        drawn = {}
        for place, row in enumerate(rows):
            name = f"{self.name}-{row.pair}"
            if len(self.curves) > 1:
                name += f"-{place % len(self.curves) + 1}"
            drawn[name] = draw_orders(row)
        return drawn

    def tables(self, data: FigureData) -> list[str]:
        return order_lines(compare_orders(data.results, data.measured))

    def conclusions(self, data: FigureData) -> list[str]:
        rows = compare_orders(data.results, data.measured)
        return [item for row in rows for item in verdict_items(row)]
