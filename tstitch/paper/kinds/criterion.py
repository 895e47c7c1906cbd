"""Whether the criterion of `stitch=search` ranks schedules as FID does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from evaluation.metrics.jackknife import Interval, interval
from evaluation.report.panels import Line, Panel
from evaluation.report.table import Table, table_lines
from samplers import Interleave, Random
from tstitch.config import fields
from tstitch.maker.protocol import TracedMaker
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.report.answers import letters
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.schedules.calibration import traced
from tstitch.schedules.criterion import Criterion
from tstitch.schedules.evolution import Schedule

CHANGE = "RMS change of x_0 against large alone"


class CriterionSettings(fields.Settings):
    """Which schedules are compared, and by what; described in configs/paper/criterion.yaml."""

    small: Annotated[int, fields.whole(1)]
    windows: Annotated[int, fields.whole(2)]
    random: Annotated[int, fields.whole(0)]
    inputs: Annotated[int, fields.whole(1)]
    seed: Annotated[int, fields.whole(0, 2**31)]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The criterion's value of each schedule, in the order of the figure's."""

    changes: list[float]


class CriterionFigure(Figure):
    """One panel: FID against the criterion, of schedules with as many small steps."""

    kind: ClassVar = "criterion"
    needs_curves: ClassVar = True

    probe: CriterionSettings

    @model_validator(mode="after")
    def _check_curve(self) -> Self:
        curve = self.curves[0]
        large_alone = curve.fractions == (0,) and len(curve.shares) == 1
        if len(self.curves) > 1 or not (curve.is_row and large_alone):
            needs = "give one of two models, one steps, guidance, variant, and fractions: [0]"
            raise fields.refusal("curves", needs)
        return self

    @property
    def measurement(self) -> dict[str, Any]:
        return {"probe": self.probe.model_dump()}

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """The large model alone, then every schedule."""
        [base] = super().plan(settings, trial=trial)
        section, experiment = {"_target_": "samplers.Explicit"}, base.experiment
        count = len(experiment.step_evaluations)
        if self.probe.small >= count:
            field = f"paper.{settings.scale.name}.probe.small"
            raise UserError(f"{field}={self.probe.small}: choose less than the {count} steps")
        points = [base]
        for label, models in compared_schedules(self.probe, count).items():
            own = experiment.with_stitch(section | {"models": list(models)})
            planned = replace(base.planned, label=label, fraction=None, experiment=own)
            points.append(replace(base, kind=label, planned=planned))
        return tuple(points)

    def measure(self, settings: Reproduction, cache: ModelCache, results: list[Result]) -> Ranking:
        base, *others = self.plan(settings)
        shared = cache.of(base.experiment)
        key = measurement_key(base.experiment, self, shared)

        def look() -> dict[str, Any]:
            maker = traced(shared.maker(base.experiment), "paper=criterion")
            distributed.everywhere(lambda: maker.prepare(every=True))
            return distributed.on_main(lambda: asdict(self._rank(maker, others)))

        return Ranking(**measure_once(self, settings, key, look))

    def _rank(self, maker: TracedMaker, points: Sequence[CurvePoint]) -> Ranking:
        criterion = Criterion(maker, self.probe.inputs, self.probe.seed)
        return Ranking(criterion([point.experiment.step_models for point in points]))

    def panels(self, data: FigureData) -> list[Panel]:
        _, *results = data.results
        rows: dict[str, list[tuple[float, Interval]]] = {}
        for result, change in zip(results, data.measured.changes, strict=True):
            sort = result.point.planned.label.split()[0]
            rows.setdefault(sort, []).append((change, result.estimate()))
        lines = [
            Line(
                name=sort,
                x=[x for x, _ in row],
                y=[fid.value for _, fid in row],
                low=[fid.low for _, fid in row],
                high=[fid.high for _, fid in row],
                joined=False,
            )
            for sort, row in rows.items()
        ]
        name = results[0].metrics["fid"].name
        return [Panel(f"{self.probe.small} steps small", CHANGE, name, lines)]

    def tables(self, data: FigureData) -> list[str]:
        _, *results = data.results
        changes = data.measured.changes
        found = rank_correlation(changes, results)
        cells = [
            [r.point.planned.label, letters(r.point.experiment.step_models), f"{change:.4g}"]
            for r, change in zip(results, changes, strict=True)
        ]
        by_change = [cells[k] for k in np.argsort(changes)]
        return [
            "## The criterion", "",
            f"Spearman's rank correlation of FID and the criterion: {found.value:.3f} "
            f"[{found.low:.3f}, {found.high:.3f}] over {len(results)} schedules of "
            f"{self.probe.small} small steps (the interval: other images for FID; other schedules "
            f"would widen it). The criterion is from {self.probe.inputs} images of other noise, "
            "FID from "
            f"{results[0].point.images}.", "",
            *table_lines(Table(["schedule", "noisiest step first", CHANGE], by_change)), "",
        ]  # fmt: skip


def compared_schedules(probe: CriterionSettings, steps: int) -> dict[str, Schedule]:
    """Schedules by label, all with as many small steps; none twice.

    Windows from the first steps to the last, evenly spread ones, and random ones.
    """
    small, found = probe.small, dict[Schedule, str]()
    for k in range(probe.windows):
        start = round(k * (steps - small) / (probe.windows - 1))
        models = (1,) * start + (0,) * small + (1,) * (steps - small - start)
        found.setdefault(models, f"window from {start}")
    spread = Interleave(fraction=small / steps).assign(range(steps), 2)
    found.setdefault(spread, "interleave")
    for k in range(probe.random):
        models = Random(steps=small, seed=probe.seed + k).assign(range(steps), 2)
        found.setdefault(models, f"random {probe.seed + k}")
    return {label: models for models, label in found.items()}


def rank_correlation(changes: Sequence[float], results: Sequence[Result]) -> Interval:
    """Spearman's of FID with the changes; the jackknife over FID's groups of images."""
    metrics = [result.metrics["fid"] for result in results]
    value = spearman(changes, [metric.value for metric in metrics])
    groups = zip(*(metric.replicates for metric in metrics), strict=True)
    return interval(value, [spearman(changes, group) for group in groups])


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation in [-1, 1], ties at their mean rank; 0 where all of one are equal."""
    from scipy.stats import rankdata

    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0
