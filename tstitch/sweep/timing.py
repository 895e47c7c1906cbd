"""Times of a sweep's schedules in turn: what its speed-ups are told from.

The runs' own times are of different moments, commands and loads of the machine. Here every schedule
samples one batch per round on rank 0, another schedule first in every round, so that whatever else
the machine does slows all alike.
"""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.cost.machine import device_name, versions
from tstitch.benchmark.measure import rotated
from tstitch.files.record import Record
from tstitch.files.writing import write_json
from tstitch.maker.batches import sample_units
from tstitch.maker.protocol import DENOISE, ImageMaker
from tstitch.maker.provenance import Conditions, conditions, engine_text, host_load
from tstitch.maker.units import Unit
from tstitch.run.directory import writing
from tstitch.run.finished import FinishedRun
from tstitch.run.first_images import run_name
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.threads import available_cores
from tstitch.sweep.plan import Plan

TIMING = "timing.json"
log = logging.getLogger(__name__)


class Rounds(Record):
    """Seconds per image of runs, by the name of their directory."""

    seconds: dict[str, list[float]]  # one entry per round
    denoisers: dict[str, dict[str, float]]  # by denoiser, of the median round
    conditions: Conditions


def time_runs(
    plan: Plan, finished: list[FinishedRun], folder: Path, shared: SharedModels
) -> Rounds | None:
    """Measures every different run of the sweep in turn, or reads what an earlier command measured.

    Every rank calls it alike; rank 0 measures while the others wait.

    Args:
        finished: the runs, in the plan's order.
        folder: of the report, where the measurement is kept.

    Returns:
        On rank 0; None where sweep.timing_rounds=0.

    Raises:
        UserError: the folder cannot be written, or what sampling raises.
    """
    rounds = plan.settings.timing_rounds
    if not rounds:
        return None
    runs = {run_name(r.folder): p.experiment for p, r in zip(plan.points, finished, strict=True)}
    run = plan.points[0].experiment.run
    size = min(run.batch_size, run.num_images)
    key = {
        "runs": list(runs),  # their names end in their fingerprints
        "images": size,
        "rounds": rounds,
        "engine": engine_text(shared.engine),
        "processes": distributed.world_size(),
        "threads": plan.points[0].experiment.engine.threads,
        "machine": [device_name(shared.engine.device), available_cores(), versions()["torch"]],
    }
    stored = distributed.on_main(lambda: _read(folder / TIMING, key))
    if stored is not None:
        return stored
    makers = {name: shared.maker(experiment) for name, experiment in runs.items()}

    def measure() -> Rounds:
        measured = _measure(makers, size, rounds)
        with writing(folder, "sweep.dir"):
            folder.mkdir(parents=True, exist_ok=True)
            content = {"key": key, "measured": measured.plain()}
            write_json(folder / TIMING, content)
        return measured

    return distributed.on_main(measure)


def _read(path: Path, key: dict[str, Any]) -> Rounds | None:
    try:
        content = json.loads(path.read_text())
        return Rounds.model_validate(content["measured"]) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(makers: dict[str, ImageMaker], size: int, rounds: int) -> Rounds:
    first = next(iter(makers.values()))
    loads = [host_load()]
    for maker in _warming(makers):
        _one_batch(maker, size)
    batches: dict[str, list[dict[str, Any]]] = {name: [] for name in makers}
    for number in range(rounds):
        log.info("timing %d schedules in turn: round %d of %d", len(batches), number + 1, rounds)
        for name in rotated(list(makers), number):
            batches[name].append(_one_batch(makers[name], size))
        loads.append(host_load())
    known = [load for load in loads if load is not None]
    load = (min(known), max(known)) if known else None
    # One process computes, whatever their number; its threads are its share of the cores.
    where = conditions(first.engine, size) | {"processes": 1, "load": load}
    return Rounds(
        seconds={n: [_total(b) / size for b in own] for n, own in batches.items()},
        denoisers={name: _denoisers(own, size) for name, own in batches.items()},
        conditions=Conditions(**where),
    )


def _warming(makers: dict[str, ImageMaker]) -> list[ImageMaker]:
    """Some that between them run every denoiser under every guidance."""
    chosen: list[ImageMaker] = []
    seen: set[tuple[str, int]] = set()
    for maker in makers.values():
        guidance = str(maker.experiment.protocol().get("guidance"))
        experiment = maker.experiment
        every = range(len(experiment.denoisers))  # an online schedule may come to any
        ran = {(guidance, model) for model in (every if experiment.online else experiment.schedule)}
        if not ran <= seen:
            chosen.append(maker)
            seen |= ran
    return chosen


def _one_batch(maker: ImageMaker, size: int) -> dict[str, Any]:
    """Times of the run's first batch, as its shard has them."""
    stored: list[dict[str, Any]] = []

    def keep(unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]) -> None:
        stored.append(times)

    sample_units(maker, [Unit(0, size)], keep)
    return stored[0]


def _total(batch: dict[str, Any]) -> float:
    return sum(batch["seconds"].values())


def _denoisers(batches: list[dict[str, Any]], size: int) -> dict[str, float]:
    stages = sorted(batches, key=_total)[(len(batches) - 1) // 2]["seconds"]
    return {n.removeprefix(DENOISE): s / size for n, s in stages.items() if n.startswith(DENOISE)}
