"""Samples and evaluates the points of a figure; every point is a run directory."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation.metrics.jackknife import Interval, interval
from evaluation.metrics.measured import Measured
from evaluation.report.points import Point
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import Experiment
from tstitch.paper.figure.plan import CurvePoint, denoiser_names
from tstitch.run.finished import FinishedRun
from tstitch.run.generate import complete_run
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.sweep.points import make_point
from tstitch.tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """A measured point."""

    point: CurvePoint
    run: FinishedRun
    measured: Point | None  # differences are to the curve's largest model alone; None = no metrics

    @property
    def measurement(self) -> Point:
        """`measured`, of a figure that has metrics."""
        assert self.measured is not None
        return self.measured

    @property
    def metrics(self) -> Mapping[str, Measured]:
        """Of its evaluation, replicates included; empty = not wanted."""
        return {} if self.run.evaluation is None else self.run.evaluation.metrics

    def value(self, metric: str = "fid") -> float:
        """A metric's value."""
        return self.metrics[metric].value

    def estimate(self, metric: str = "fid") -> Interval:
        """A metric with its 95 % interval."""
        return interval(self.metrics[metric].value, self.metrics[metric].replicates)

    def minus(self, other: "Result", metric: str = "fid") -> Interval:
        """The paired difference of a metric to another point's, of as many images."""
        return self.metrics[metric].minus(other.metrics[metric])


class ModelCache:
    """Models of the pair in use; those of another pair take their place, the evaluator stays."""

    def __init__(self) -> None:
        self._key = ""
        self._shared: SharedModels | None = None

    def of(self, experiment: Experiment) -> SharedModels:
        """Weights, engine and evaluator of a run; every rank calls it alike."""
        key = sharing_key(experiment)
        if key != self._key or self._shared is None:
            before = self._shared
            self.release()
            self._shared = SharedModels(experiment, before)
            self._key = key
        return self._shared

    def release(self) -> None:
        """Gives the memory of the networks back, for what another process or a training needs."""
        if self._shared is not None:
            self._shared.unload()


def sharing_key(experiment: Experiment) -> str:
    """What two runs must have in common to share their models."""
    own = {part: experiment.config[part] for part in ("pair", "engine", "evaluation")}
    return Identity(own | {"run": [experiment.run.device, experiment.run.dtype]}).fingerprint


def measure_points(points: Sequence[CurvePoint], report: Path, cache: ModelCache) -> list[Result]:
    """Completes what is missing and evaluates; every rank calls it alike.

    Args:
        report: folder of the report, to which points name their directories.

    Raises:
        UserError: bad input, or no evaluation; finished shards stay.
    """
    keys = [sharing_key(point.experiment) for point in points]
    order = sorted(range(len(points)), key=lambda i: (keys.index(keys[i]), i))
    done: dict[int, FinishedRun] = {}
    for number, place in enumerate(order, 1):
        planned = points[place].planned
        log.info("%d of %d: %s, %s", number, len(points), planned.series, planned.label)
        done[place] = complete(planned.experiment, cache.of(planned.experiment))
    if not distributed.is_main():
        return []
    results = []
    for place, point in enumerate(points):
        run, measured = done[place], None
        if run.evaluation is not None:
            baseline = _baseline(place, points)
            other = None if baseline in (None, place) else done[baseline].evaluation
            measured = _named(make_point(point.planned, run, other, report), point)
        results.append(Result(point, run, measured))
    return results


def complete(experiment: Experiment, shared: SharedModels) -> FinishedRun:
    """The run, evaluated where that is wanted.

    The images asked for, whatever the run holds: of a run with more the first are evaluated.
    """
    run = complete_run(experiment, shared, Tracker(None))
    if not experiment.evaluation.enabled:
        return replace(run, evaluation=None)
    if run.evaluation is None:
        raise UserError(f"{run.folder}: is not evaluated; run the command again")
    return run


def _baseline(place: int, points: Sequence[CurvePoint]) -> int | None:
    """The run of the curve's largest model alone, of the same sampler, steps and guidance."""
    own = points[place]
    for other, point in enumerate(points):
        alike = (point.models[-1], *point.row[1:]) == (own.models[-1], *own.row[1:])
        if alike and point.fraction == 0 and point.kind == "fraction":
            return other
    return None


def _named(measured: Point, point: CurvePoint) -> Point:
    """With the models' names in place of those of the pair's denoisers, where it has roles."""
    if not point.roles:
        return measured
    names = {name: role for role, name in denoiser_names(point.roles).items()}
    parts = (
        "steps_per_denoiser", "seconds_per_denoiser", "gmacs_per_evaluation",
        "evaluations_per_denoiser",
    )  # fmt: skip
    renamed: dict[str, Any] = {
        part: {names[name]: value for name, value in getattr(measured, part).items()}
        for part in parts
    }
    return replace(measured, **renamed)
