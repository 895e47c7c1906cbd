"""Quality against the fraction, or against time where three models are mixed (most figures)."""

from dataclasses import asdict
from typing import Any, ClassVar, Self

from pydantic import model_validator

from evaluation.report.panels import Panel
from tstitch.config import fields
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.own_pair import TWO, OwnWeights, of_own_pair
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.curves_fractions import FRACTION_TESTS
from tstitch.paper.kinds.curves_mixes import MIX_TESTS
from tstitch.paper.kinds.curves_picture import fraction_panels, mix_panels
from tstitch.paper.kinds.curves_texts import TEXT_TESTS
from tstitch.paper.kinds.curves_timing import (
    TIMING_TESTS,
    Timing,
    TimingSettings,
    time_fractions,
    timing_table,
)
from tstitch.run.directory import writing
from tstitch.runtime import distributed


class CurvesFigure(Figure):
    """Points of curves; with `timing` also the time of the first curve's fractions, in turn."""

    kind: ClassVar = "curves"
    needs_curves: ClassVar = True
    shows_paper: ClassVar = True
    claim_tests: ClassVar = FRACTION_TESTS | MIX_TESTS | TIMING_TESTS | TEXT_TESTS

    timing: TimingSettings | None = None
    pair: fields.Text | None = None  # of small and large, in place of the scale's
    weights: OwnWeights = {}  # of that pair

    @model_validator(mode="after")
    def _check_timing(self) -> Self:
        first = self.curves[0]
        if self.timing and (len(first.models) > 2 or "fraction" not in first.kinds):
            raise fields.refusal("timing", "needs a first curve of two models and kind fraction")
        return self

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.pair is not None and any(curve.models != TWO for curve in self.curves):
            raise fields.refusal("pair", "is of small and large; give every curve these models")
        if self.weights and self.pair is None:
            raise fields.refusal("weights", "are of the figure's own pair; give pair, or none")
        return self

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        return plan_points(self.curves, self._own(settings), trial=trial)

    def _own(self, settings: Reproduction) -> Reproduction:
        if self.pair is None:
            return settings
        field = f"paper.{settings.scale.name}.pair"
        return of_own_pair(settings, self.pair, self.weights, field)

    @property
    def measurement(self) -> dict[str, Any]:
        return {} if self.timing is None else {"timing": self.timing.model_dump()}

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> Timing | None:
        wanted = self.timing
        if wanted is None:
            return None
        every = plan_points(self.curves[:1], self._own(settings), whole=True)
        points = [p for p in every if p.kind == "fraction"]
        first = points[0]  # of several rows the first is timed
        points = [p for p in points if (p.row, p.variant) == (first.row, first.variant)]
        fractions, folder = [point.fraction for point in points], self.folder(settings)
        shared = cache.of(first.experiment)

        def work() -> dict[str, Any]:
            with writing(folder, "root"):
                folder.mkdir(parents=True, exist_ok=True)
            timing = time_fractions(first.experiment, fractions, wanted, folder)
            return {"timing": asdict(timing)}

        def measure() -> dict[str, Any]:
            cache.release()  # its processes need the memory
            return distributed.on_main(work)

        key = measurement_key(first.experiment, self, shared) | {"fractions": fractions}
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
