"""Schedules that are found by measuring: once, then they stay with the run."""

import json
import logging
from pathlib import Path
from typing import Any

from evaluation.report.panels import draw_panels
from samplers.stitch import ResolvedSchedule
from tstitch.files.pictures import save_plot
from tstitch.files.writing import write_json
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.maker.step_time import stepped
from tstitch.run.directory import SCHEDULE_FILE, SCHEDULE_PICTURE, RunDirectory, writing
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.schedules.kinds import resolver_of, unresolved
from tstitch.schedules.resolver import Resolver

log = logging.getLogger(__name__)


def resolve_schedule(
    config: dict[str, Any], shared: SharedModels | None = None
) -> tuple[dict[str, Any], SharedModels | None]:
    """The configuration with `stitch.models` filled in, and what was loaded for it.

    Nothing is done for schedules that need no measurement. Every rank calls it alike: rank 0
    measures, all get its answer. A run directory that has a schedule for the same target keeps it,
    so that a resumed run goes on as it began.

    Args:
        shared: of an experiment with the same pair, device, dtype and evaluation; None = it loads.

    Raises:
        UserError: a bad target, or one that cannot be met.
    """
    schedule = unresolved(config["stitch"])
    if schedule is None:
        return config, shared
    resolver = resolver_of(schedule)
    experiment = parse_experiment(config, stitched=False)
    with errors_of("stitch."):
        schedule.check(len(experiment.step_evaluations), len(experiment.denoisers))
    evaluations = experiment.evaluations(distributed.world_size())
    shared = shared or SharedModels(experiment, evaluations=evaluations)
    fresh = experiment.run.overwrite and not distributed.restarts()
    folder, key = distributed.on_main(lambda: _place(experiment, shared, schedule, fresh))
    stored = distributed.on_main(lambda: None if fresh else _read(folder, key))
    if stored is None:
        maker = stepped(shared.maker(experiment), f"stitch={schedule.name}")
        distributed.everywhere(lambda: maker.prepare(every=True))
        stored = distributed.on_main(
            lambda: _keep(folder, key, fresh, resolver, resolver.resolve(maker, schedule))
        )
    log.info("%s: %s", folder / SCHEDULE_FILE, resolver.describe(stored))
    resolved = config | {
        "stitch": config["stitch"] | {"models": stored["models"]},
        "run": config["run"] | {"dir": str(folder)},
    }
    return resolved, shared


def _place(
    experiment: Experiment, shared: SharedModels, schedule: ResolvedSchedule, fresh: bool
) -> tuple[Path, dict[str, Any]]:
    """The run's directory and its key; of several choices of `engine=auto` the one begun with."""
    target = schedule.target
    # What decides the images but for the schedule, and the target in its place.
    aims = [Identity(i.values | {"stitch": target}) for i in shared.identities(experiment)]
    folders = [Path(experiment.directory(aim, schedule.title)) for aim in aims]
    keys = [{"target": target, "run": aim.fingerprint} for aim in aims]
    places = list(zip(folders, keys, strict=True))
    begun = [place for place in places if _stored(place[0]).get("key") == place[1]]
    return places[0] if fresh or not begun else begun[0]


def _read(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The schedule that the directory has; none if there is none, or only a damaged one."""
    content = _stored(folder)
    try:
        before, target, schedule = content["key"], content["key"]["target"], content["schedule"]
    except (KeyError, TypeError):
        return None
    if before != key:
        kept = ", ".join(f"{name} {value}" for name, value in target.items() if value is not None)
        raise UserError(
            f"run.dir={folder}: belongs to another run (its schedule is for {kept}, or for "
            "another seed, sampler, guidance, engine or other weights); choose another run.dir, or "
            "run.overwrite=true"
        )
    return schedule


def _stored(folder: Path) -> dict[str, Any]:
    """The content of the schedule's file, empty if there is none that can be read."""
    try:
        content = json.loads((folder / SCHEDULE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _keep(
    folder: Path,
    key: dict[str, Any],
    fresh: bool,
    resolver: Resolver[Any],
    found: dict[str, Any],
) -> dict[str, Any]:
    """Stores what was found while no other run has the directory; gives what is stored."""
    with RunDirectory(str(folder)).reserved():
        stored = None if fresh else _read(folder, key)  # another command may have been faster
        if stored is not None:
            return stored
        with writing(folder):
            if panels := resolver.panels(found):
                save_plot(draw_panels(panels), folder / SCHEDULE_PICTURE)
            write_json(folder / SCHEDULE_FILE, {"key": key, "schedule": found})
    return found
