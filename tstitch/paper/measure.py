"""Samples and evaluates the points of a figure; every point is a run directory."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation.metrics.jackknife import Interval, interval, paired_difference
from evaluation.report.points import Point
from tstitch import distributed
from tstitch.errors import UserError
from tstitch.experiment import Experiment
from tstitch.fingerprint import fingerprint
from tstitch.generate import complete_run
from tstitch.paper.plan import Spot, denoiser_names
from tstitch.resources import Resources
from tstitch.scoring.runs import read_evaluation
from tstitch.sweep.points import make_point
from tstitch.tracking import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """A measured point."""

    spot: Spot
    evaluation: dict[str, Any]  # of Evaluator.evaluate, replicates included
    point: Point | None  # differences are to the curve's largest model alone; None = no metrics
    folder: Path

    def value(self, metric: str = "fid") -> float:
        """A metric's value."""
        return self.evaluation["metrics"][metric]["value"]

    def estimate(self, metric: str = "fid") -> Interval:
        """A metric with its 95 % interval."""
        entry = self.evaluation["metrics"][metric]
        return interval(entry["value"], entry["replicates"])

    def minus(self, other: "Result", metric: str = "fid") -> Interval:
        """The paired difference of a metric to another point's, of as many images."""
        own = self.evaluation["metrics"][metric]
        base = other.evaluation["metrics"][metric]
        return paired_difference(own["value"], own["replicates"], base["value"], base["replicates"])


class Stock:
    """Resources of the pair in use; another pair takes their place, the evaluator stays."""

    def __init__(self) -> None:
        self._key = ""
        self._resources: Resources | None = None

    def of(self, experiment: Experiment) -> Resources:
        """Weights, engine and evaluator of a run; every rank calls it alike."""
        key = resources_key(experiment)
        if key != self._key or self._resources is None:
            before = self._resources
            self.release()
            self._resources = Resources(experiment, before)
            self._key = key
        return self._resources

    def release(self) -> None:
        """Gives the memory of the networks back, for what another process or a training needs."""
        if self._resources is not None:
            self._resources.unload()


def resources_key(experiment: Experiment) -> str:
    """What two runs must have in common to share their resources."""
    own = {part: experiment.config[part] for part in ("pair", "engine", "evaluation")}
    return fingerprint(own | {"run": [experiment.run.device, experiment.run.dtype]})


def measure(spots: Sequence[Spot], report: Path, stock: Stock) -> list[Result]:
    """Completes what is missing and evaluates; every rank calls it alike.

    Args:
        report: folder of the report, to which points name their directories.

    Raises:
        UserError: bad input, or no evaluation; finished shards stay.
    """
    keys = [resources_key(spot.experiment) for spot in spots]
    order = sorted(range(len(spots)), key=lambda i: (keys.index(keys[i]), i))
    done: dict[int, tuple[Path, dict[str, Any]]] = {}
    for number, place in enumerate(order, 1):
        spot = spots[place]
        log.info("%d of %d: %s, %s", number, len(spots), spot.planned.series, spot.planned.label)
        done[place] = complete(spot.experiment, stock.of(spot.experiment))
    if not distributed.is_main():
        return []
    results = []
    for place, spot in enumerate(spots):
        folder, evaluation = done[place]
        if not evaluation:
            results.append(Result(spot, {}, None, folder))
            continue
        baseline = _baseline(place, spots)
        other = None if baseline in (None, place) else done[baseline][1]
        point = _named(make_point(spot.planned, folder, evaluation, other, report), spot)
        results.append(Result(spot, evaluation, point, folder))
    return results


def complete(experiment: Experiment, resources: Resources) -> tuple[Path, dict[str, Any]]:
    """The run's directory, and the evaluation of its images, empty where none is wanted.

    The images asked for, whatever the run holds: of a run with more the first are evaluated.
    """
    folder = complete_run(experiment, resources, Tracker(None))
    if not experiment.evaluation.enabled:
        return folder, {}
    evaluation = distributed.on_main(lambda: read_evaluation(folder))
    if evaluation is None:
        raise UserError(f"{folder}: is not evaluated; run the command again")
    return folder, evaluation


def _baseline(place: int, spots: Sequence[Spot]) -> int | None:
    """The run of the curve's largest model alone, of the same sampler, steps and guidance."""
    for other, spot in enumerate(spots):
        if spot.fraction == 0 and spot.kind == "fraction" and comparable(spot, spots[place]):
            return other
    return None


def comparable(one: Spot, other: Spot) -> bool:
    """Whether two points differ in schedule and variant alone."""
    return (one.models[-1], *one.row[1:]) == (other.models[-1], *other.row[1:])


def _named(point: Point, spot: Spot) -> Point:
    """The point with the models' names in place of those of the pair's denoisers."""
    names = {name: role for role, name in denoiser_names(spot.roles).items()}
    parts = ("steps_per_denoiser", "seconds_per_denoiser", "gmacs_per_evaluation")
    renamed = {
        part: {names[name]: value for name, value in getattr(point, part).items()} for part in parts
    }
    return replace(point, **renamed)
