"""Resolves `stitch=budget`: step times are measured once, the schedule stays with the run."""

import json
import logging
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from evaluation.cost.machine import device_name
from samplers.stitch import Budget, spend
from tstitch.config.cli import instantiate
from tstitch.files.writing import write_json
from tstitch.maker.batches import draw_unit
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment, SteppedMaker
from tstitch.maker.step_time import stepped, time_step
from tstitch.maker.units import Unit
from tstitch.run.directory import SCHEDULE_FILE, RunDirectory, writing
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

TARGET = "samplers.Budget"
ROUNDS, LEAST_S = 5, 0.05
log = logging.getLogger(__name__)


def resolve_budget(config: dict[str, Any]) -> tuple[dict[str, Any], SharedModels | None]:
    """The configuration with the schedule in place of its budget, and what was loaded for it.

    Every rank calls it alike: rank 0 measures, all get its answer. A run directory that has a
    schedule for the same target keeps it, so that a resumed run goes on as it began.

    Raises:
        UserError: a bad target, or one that the fastest denoiser alone cannot reach.
    """
    section = config["stitch"]
    if not isinstance(section, dict) or section.get("_target_") != TARGET or section["models"]:
        return config, None
    budget = instantiate(section, "stitch")
    experiment = parse_experiment(config, stitched=False)
    evaluations = experiment.evaluations(distributed.world_size())
    shared = SharedModels(experiment, evaluations=evaluations)
    fresh = experiment.run.overwrite and not distributed.restarts()
    folder, key = distributed.on_main(lambda: _place(experiment, shared, budget, fresh))
    stored = distributed.on_main(lambda: None if fresh else _read(folder, key))
    if stored is None:
        maker = stepped(shared.maker(experiment), "stitch=budget")
        distributed.everywhere(lambda: maker.prepare(every=True))
        stored = distributed.on_main(lambda: _measure_once(maker, budget, folder, key, fresh))
    log.info("%s: %s", folder / SCHEDULE_FILE, _describe(stored))
    resolved = config | {
        "stitch": section | {"models": stored["models"]},
        "run": config["run"] | {"dir": str(folder)},
    }
    return resolved, shared


def measure_steps(maker: SteppedMaker) -> list[float]:
    """Seconds per image of one guided step of each denoiser, medians of interleaved rounds."""
    size = maker.experiment.run.batch_size
    batch, _ = draw_unit(maker, Unit(0, size))
    models = range(len(maker.experiment.denoisers))
    found: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model in models:
            found[model].append(time_step(maker, model, batch, LEAST_S) / size)
    return [median(seconds) for seconds in found]


def _place(
    experiment: Experiment, shared: SharedModels, budget: Budget, fresh: bool
) -> tuple[Path, dict[str, Any]]:
    """The run's directory and its key; of several choices of `engine=auto` the one begun with."""
    target = {"speedup": budget.speedup, "ms_per_image": budget.ms_per_image}
    # What decides the images but for the schedule, and the target in its place.
    aims = [Identity(i.values | {"stitch": target}) for i in shared.identities(experiment)]
    folders = [Path(experiment.directory(aim, _target_text(budget))) for aim in aims]
    keys = [{"target": target, "run": aim.fingerprint} for aim in aims]
    places = list(zip(folders, keys, strict=True))
    begun = [place for place in places if _stored(place[0]).get("key") == place[1]]
    return places[0] if fresh or not begun else begun[0]


def _target_text(budget: Budget) -> str:
    """`speedup1.5` or `20ms`."""
    if budget.speedup is not None:
        return f"speedup{budget.speedup:g}"
    return f"{budget.ms_per_image:g}ms"


def _resolve(maker: SteppedMaker, budget: Budget) -> dict[str, Any]:
    seconds = measure_steps(maker)
    names, total = list(maker.experiment.denoisers), sum(maker.step_evaluations)
    whole = total * seconds[-1]
    limit = whole / budget.speedup if budget.speedup else (budget.ms_per_image or 0.0) / 1e3
    try:
        models = spend(seconds, maker.step_evaluations, limit)
    except ValueError as error:
        least = total * min(seconds)
        if budget.speedup is None:
            raise UserError(
                f"stitch.ms_per_image={budget.ms_per_image:g}: the fastest denoiser alone takes "
                f"{1e3 * least:.3g}; choose more, or fewer sampler.steps"
            ) from error
        raise UserError(
            f"stitch.speedup={budget.speedup:g}: the fastest denoiser alone gives "
            f"{whole / least:.3g}; choose at most that"
        ) from error
    steps = Counter[int]()
    for model, evaluations in zip(models, maker.step_evaluations, strict=True):
        steps[model] += evaluations
    taken = sum(count * seconds[model] for model, count in steps.items())
    return {
        "models": list(models),
        "steps": {name: steps[k] for k, name in enumerate(names)},
        "step_ms_per_image": {n: 1e3 * s for n, s in zip(names, seconds, strict=True)},
        "ms_per_image": 1e3 * taken,
        "speedup": whole / taken,
        "batch_size": maker.experiment.run.batch_size,
        "device": device_name(maker.engine.device),
    }


def _describe(stored: dict[str, Any]) -> str:
    steps = ", ".join(f"{name} {count}" for name, count in stored["steps"].items())
    return f"{steps} steps, {stored['ms_per_image']:.4g} ms / image, {stored['speedup']:.3g}x"


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
            f"run.dir={folder}: belongs to another run (its schedule is for {kept}, or for other "
            "weights, sampler or engine); choose another run.dir, or run.overwrite=true"
        )
    return schedule


def _stored(folder: Path) -> dict[str, Any]:
    """The content of the schedule's file, empty if there is none that can be read."""
    try:
        content = json.loads((folder / SCHEDULE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _measure_once(
    maker: SteppedMaker, budget: Budget, folder: Path, key: dict[str, Any], fresh: bool
) -> dict[str, Any]:
    """The schedule by times of now, stored while no other run has the directory."""
    schedule = _resolve(maker, budget)
    with RunDirectory(str(folder)).reserved():
        stored = None if fresh else _read(folder, key)  # another command may have been faster
        if stored is None:
            stored = schedule
            with writing(folder):
                write_json(folder / SCHEDULE_FILE, {"key": key, "schedule": schedule})
    return stored
