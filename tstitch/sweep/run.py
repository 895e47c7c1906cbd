"""`scripts/sweep.py`: many runs with one set of loaded models, and one report of them all."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from tstitch import distributed
from tstitch.errors import UserError
from tstitch.fingerprint import fingerprint
from tstitch.first import first_folder, run_name
from tstitch.generate import complete_run
from tstitch.resources import Resources
from tstitch.rundir import writing
from tstitch.sweep.plan import Plan, plan_sweep
from tstitch.sweep.points import collect_points
from tstitch.sweep.report import POINTS, counted_images, write_report
from tstitch.sweep.timing import Rounds, time_runs
from tstitch.tracking import Tracker, start_tracking, track_point, track_sweep

log = logging.getLogger(__name__)


def run_sweep(config: dict[str, Any]) -> Path:
    """Completes every run of the sweep, then writes tables, plots and pages.

    The same command goes on where a killed one stopped; more run.num_images extend every run,
    fewer are a report of the first images in a folder of its own.

    Returns:
        The folder of the report.

    Raises:
        UserError: bad input, on every rank alike; finished shards of all runs stay.
    """
    plan = plan_sweep(config)
    # All points of the sweep count, whatever is there: a resumed one decides alike.
    evaluations = sum(p.experiment.evaluations(distributed.world_size()) for p in plan.points)
    resources = Resources(plan.points[0].experiment, evaluations=evaluations)
    with start_tracking(plan.points[0].experiment.tracking, "sweep", config) as tracker:
        folders, seen = [], set()
        for number, point in enumerate(plan.points, 1):
            log.info("%d of %d: %s, %s", number, len(plan.points), point.series, point.label)
            experiment = point.experiment
            key = (point.protocol, tuple(step.model for step in experiment.sampler.plan))
            if key in seen:  # another schedule with the same steps: the same run
                run = experiment.run.model_copy(update={"overwrite": False})
                experiment = replace(experiment, run=run)
            seen.add(key)
            folders.append(complete_run(experiment, resources, Tracker(None)))
            if distributed.is_main():
                track_point(tracker, point.series, point.label, folders[-1])
        folder = Path(plan.settings.dir or _directory(plan, folders))
        folder = distributed.on_main(lambda: _own_folder(plan, folder))
        rounds = time_runs(plan, folders, folder, resources)
        distributed.on_main(lambda: _report(plan, folders, folder, rounds, resources, tracker))
    log.info("%s: report.html, report.md, points.csv, plots", folder)
    return folder


def _directory(plan: Plan, folders: list[Path]) -> str:
    """A path that says which runs it is about, whatever their number of images."""
    run, pair = plan.points[0].experiment.run, plan.points[0].experiment.pair
    digest = fingerprint({"runs": [run_name(folder) for folder in folders]})[:8]
    return f"{run.root}/{pair.name}/sweep-seed{run.seed}-{digest}"


def _own_folder(plan: Plan, folder: Path) -> Path:
    """The folder, or one below it where the folder has the report of more images."""
    run, held = plan.points[0].experiment.run, counted_images(folder / POINTS)
    count = run.num_images
    if held <= count or run.overwrite:
        return folder
    own = first_folder(folder, count)
    log.info("%s: keeps its report of %d images; that of %d: %s", folder, held, count, own)
    return own


def _report(
    plan: Plan,
    folders: list[Path],
    folder: Path,
    rounds: Rounds | None,
    resources: Resources,
    tracker: Tracker,
) -> None:
    points = collect_points(plan, folders, folder, rounds)
    try:
        with writing(folder, "sweep.dir"):
            folder.mkdir(parents=True, exist_ok=True)
            write_report(plan, points, folders, folder, resources.floors)
    except ValueError as error:
        raise UserError(f"sweep: {error}") from error
    track_sweep(tracker, folder)
