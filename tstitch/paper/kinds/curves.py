"""Quality against the fraction, or against time where three models are mixed (most figures)."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from evaluation.report.panels import Panel
from tstitch import distributed
from tstitch.paper.figure.base import Figure, FigureData, Given
from tstitch.paper.figure.curves import Curve, parse_curves
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import Result, Stock
from tstitch.paper.figure.plan import plan_points
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.curves_fractions import FRACTION_TESTS
from tstitch.paper.kinds.curves_mixes import MIX_TESTS
from tstitch.paper.kinds.curves_picture import fraction_panels, mix_panels
from tstitch.paper.kinds.curves_timing import (
    TIMING_TESTS,
    Timing,
    TimingSettings,
    time_fractions,
    timing_table,
)
from tstitch.rundir import writing


@dataclass(frozen=True, kw_only=True)
class CurvesFigure(Figure):
    """Points of curves; with `timing` also the time of the first curve's fractions, in turn."""

    kind: ClassVar = "curves"
    own_fields: ClassVar = ("timing",)
    defaults: ClassVar = {"timing": None}
    needs_curves: ClassVar = True
    claim_tests: ClassVar = FRACTION_TESTS | MIX_TESTS | TIMING_TESTS

    timing: TimingSettings | None
    published: tuple[Curve, ...]  # those at full scale that have values of the paper

    @classmethod
    def parse_own(cls, given: Given) -> dict[str, Any]:
        timing: TimingSettings | None = None
        published: tuple[Curve, ...] = ()
        if given.own.raw("timing") is not None:
            fields = given.part("timing", ("batch_size", "rounds"))
            timing = TimingSettings(fields.integer("batch_size", 1), fields.integer("rounds", 1))
            first, needs = given.curves[0], "needs a first curve of two models and kind fraction"
            if len(first.models) > 2 or "fraction" not in first.kinds:
                raise given.own.refuse("timing", needs)
        if given.head.raw("full") is not None:  # checked at any scale
            full = cls.section(given.head.raw("full"), "paper.full")
            images = given.settings.scale.images
            published = parse_curves(full, "paper.full", images, None, {}, needed=True)
        return {"timing": timing, "published": tuple(c for c in published if c.expected.values)}

    @property
    def measurement(self) -> dict[str, Any]:
        return {} if self.timing is None else {"timing": asdict(self.timing)}

    def measure(self, settings: Reproduction, stock: Stock, results: list[Result]) -> Timing | None:
        wanted = self.timing
        if wanted is None:
            return None
        every = plan_points(self.curves[:1], settings, whole=True)
        points = [p for p in every if p.kind == "fraction"]
        first = points[0]  # of several rows the first is timed
        points = [p for p in points if (p.row, p.variant) == (first.row, first.variant)]
        fractions, folder = [point.fraction for point in points], self.folder(settings)
        resources = stock.of(first.experiment)

        def work() -> dict[str, Any]:
            with writing(folder, "root"):
                folder.mkdir(parents=True, exist_ok=True)
            timing = time_fractions(first.experiment, fractions, wanted, folder)
            return {"timing": asdict(timing)}

        def measure() -> dict[str, Any]:
            stock.release()  # its processes need the memory
            return distributed.on_main(work)

        key = measurement_key(first.experiment, self, resources) | {"fractions": fractions}
        return Timing(**measure_once(self, settings, key, measure)["timing"])

    def panels(self, data: FigureData) -> list[Panel]:
        if not data.results or not self.picture:
            return []
        if any(len(r.point.models) == 3 for r in data.results):
            return mix_panels(data.results)
        return fraction_panels(data.results, data.measured, self.published)

    def tables(self, data: FigureData) -> list[str]:
        if data.measured is None:
            return []
        return timing_table(data.measured, data.results, self.published)
