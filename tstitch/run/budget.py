"""Resolves `stitch=budget`: step times are measured once, the schedule stays with the run."""

import json
import logging
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from samplers import Budget, spend
from tstitch.config.cli import instantiate
from tstitch.config.groups import all_large
from tstitch.files.writing import write_json
from tstitch.run.directory import SCHEDULE_FILE, RunDirectory, writing
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.sampling.batches import draw_unit
from tstitch.sampling.experiment import Experiment, parse_experiment
from tstitch.sampling.identity import fingerprint
from tstitch.sampling.pipeline import Pipeline
from tstitch.sampling.step_time import time_step
from tstitch.sampling.units import Unit

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
    experiment = _all_large(config)
    evaluations = experiment.evaluations(distributed.world_size())
    shared = SharedModels(experiment, evaluations=evaluations)
    fresh = experiment.run.overwrite and not distributed.restarts()
    folder, key = distributed.on_main(lambda: _place(experiment, shared, budget, fresh))
    stored = distributed.on_main(lambda: None if fresh else _read(folder, key))
    if stored is None:
        pipeline = Pipeline(experiment, shared.loaded())
        distributed.everywhere(lambda: pipeline.prepare(every=True))
        stored = distributed.on_main(lambda: _measure_once(pipeline, budget, folder, key, fresh))
    log.info("%s: %s", folder / SCHEDULE_FILE, _describe(stored))
    resolved = config | {
        "stitch": section | {"models": stored["models"]},
        "run": config["run"] | {"dir": str(folder)},
    }
    return resolved, shared


def measure_steps(pipeline: Pipeline) -> list[float]:
    """Seconds per image of one guided step of each denoiser, medians of interleaved rounds."""
    size = pipeline.experiment.run.batch_size
    batch, _ = draw_unit(pipeline, Unit(0, size))
    models = range(len(pipeline.experiment.pair.denoisers))
    found: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model in models:
            found[model].append(time_step(pipeline, model, batch, LEAST_S) / size)
    return [median(seconds) for seconds in found]


def _all_large(config: dict[str, Any]) -> Experiment:
    denoisers = config["pair"].get("denoisers") if isinstance(config["pair"], dict) else None
    count = len(denoisers) if isinstance(denoisers, dict) else 1
    return parse_experiment(config | {"stitch": all_large(count)})


def _place(
    experiment: Experiment, shared: SharedModels, budget: Budget, fresh: bool
) -> tuple[Path, dict[str, Any]]:
    """The run's directory and its key; of several choices of `engine=auto` the one begun with."""
    keys = [_key(identity, budget) for identity in shared.identities(experiment)]
    places = [(Path(experiment.run.dir or _directory(experiment, key)), key) for key in keys]
    begun = [place for place in places if _stored(place[0]).get("key") == place[1]]
    return places[0] if fresh or not begun else begun[0]


def _key(identity: dict[str, Any], budget: Budget) -> dict[str, Any]:
    """What decides the images but for the schedule, and the target in its place."""
    target = {"speedup": budget.speedup, "ms_per_image": budget.ms_per_image}
    return {"target": target, "run": fingerprint(identity | {"stitch": target})}


def _directory(experiment: Experiment, key: dict[str, Any]) -> str:
    kind, run = type(experiment.sampler).__name__.lower(), experiment.run
    speedup, ms = key["target"]["speedup"], key["target"]["ms_per_image"]
    target = f"speedup{speedup:g}" if speedup is not None else f"{ms:g}ms"
    name = f"{kind}{experiment.sampler.steps}-{target}-cfg{experiment.guidance.scale:g}"
    name = f"{name}-seed{run.seed}-{key['run'][:8]}".replace("+", "")
    return f"{run.root}/{experiment.pair.name}/{name}"


def _resolve(pipeline: Pipeline, budget: Budget) -> dict[str, Any]:
    seconds = measure_steps(pipeline)
    sampler = pipeline.experiment.sampler
    names = [spec.name for spec in pipeline.experiment.pair.denoisers]
    whole = sampler.steps * seconds[-1]
    limit = whole / budget.speedup if budget.speedup else (budget.ms_per_image or 0.0) / 1e3
    try:
        models = spend(seconds, sampler.evaluations, limit)
    except ValueError as error:
        least = sampler.steps * min(seconds)
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
    for model, evaluations in zip(models, sampler.evaluations, strict=True):
        steps[model] += evaluations
    taken = sum(count * seconds[model] for model, count in steps.items())
    return {
        "models": list(models),
        "steps": {name: steps[k] for k, name in enumerate(names)},
        "step_ms_per_image": {n: 1e3 * s for n, s in zip(names, seconds, strict=True)},
        "ms_per_image": 1e3 * taken,
        "speedup": whole / taken,
        "batch_size": pipeline.experiment.run.batch_size,
        "device": pipeline.device_name,
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
    pipeline: Pipeline, budget: Budget, folder: Path, key: dict[str, Any], fresh: bool
) -> dict[str, Any]:
    """The schedule by times of now, stored while no other run has the directory."""
    schedule = _resolve(pipeline, budget)
    with RunDirectory(str(folder)).reserved():
        stored = None if fresh else _read(folder, key)  # another command may have been faster
        if stored is None:
            stored = schedule
            with writing(folder):
                write_json(folder / SCHEDULE_FILE, {"key": key, "schedule": schedule})
    return stored
