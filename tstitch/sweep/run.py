"""`scripts/sweep.py`: many runs with one set of loaded models, and one report of them all."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from tstitch.maker.identity import Identity
from tstitch.run.directory import writing
from tstitch.run.finished import FinishedRun
from tstitch.run.first_images import first_folder, run_name
from tstitch.run.generate import complete_run
from tstitch.run.shared_models import SharedModels
from tstitch.run.tracked import track_point
from tstitch.runtime import distributed
from tstitch.runtime.errors import errors_of
from tstitch.sweep.plan import Plan, plan_sweep
from tstitch.sweep.points import collect_points
from tstitch.sweep.report import POINTS, counted_images, write_report
from tstitch.sweep.timing import Rounds, time_runs
from tstitch.tracking.tracker import Tracker, start_tracking, track_sweep

log = logging.getLogger(__name__)


def run_sweep(config: dict[str, Any]) -> Path:
    """Completes every run of the sweep, then writes tables, plots and pages.

    The same command goes on where a killed one stopped; more run.num_images extend every run,
    fewer are a report of the first images in a folder of its own. Returns the report's folder.

    Raises:
        UserError: bad input, on every rank alike; finished shards of all runs stay.
    """
    plan = plan_sweep(config)
    # All points of the sweep count, whatever is there: a resumed one decides alike.
    evaluations = sum(p.experiment.evaluations(distributed.world_size()) for p in plan.points)
    shared = SharedModels(plan.points[0].experiment, evaluations=evaluations)
    with start_tracking(plan.points[0].experiment.tracking, "sweep", config) as tracker:
        runs, seen = [], set()
        for number, point in enumerate(plan.points, 1):
            log.info("%d of %d: %s, %s", number, len(plan.points), point.series, point.label)
            experiment = point.experiment
            key = (point.protocol, experiment.schedule, experiment.online)
            if key in seen:  # another schedule with the same steps: the same run
                again = experiment.run.model_copy(update={"overwrite": False})
                experiment = replace(experiment, run=again)
            seen.add(key)
            run = complete_run(experiment, shared, Tracker(None))
            runs.append(run)
            if distributed.is_main() and run.evaluation is not None:
                track_point(tracker, point.series, point.label, run)
        folder = Path(plan.settings.dir or _directory(plan, runs))
        folder = distributed.on_main(lambda: _report_folder(plan, folder))
        rounds = time_runs(plan, runs, folder, shared)
        distributed.on_main(lambda: _report(plan, runs, folder, rounds, shared, tracker))
    log.info("%s: report.html, report.md, points.csv, plots", folder)
    return folder


def _directory(plan: Plan, runs: list[FinishedRun]) -> str:
    """A path that says which runs it is about, whatever their number of images."""
    first = plan.points[0].experiment
    digest = Identity({"runs": [run_name(run.folder) for run in runs]}).short
    return f"{first.run.root}/{first.name}/sweep-seed{first.run.seed}-{digest}"


def _report_folder(plan: Plan, folder: Path) -> Path:
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
    runs: list[FinishedRun],
    folder: Path,
    rounds: Rounds | None,
    shared: SharedModels,
    tracker: Tracker,
) -> None:
    points = collect_points(plan, runs, folder, rounds)
    with errors_of("sweep: "), writing(folder, "sweep.dir"):
        folder.mkdir(parents=True, exist_ok=True)
        write_report(plan, points, runs, folder, shared.floors)
    track_sweep(tracker, folder)
