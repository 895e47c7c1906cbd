"""Times of a sweep's schedules in turn: what its speed-ups are told from.

The runs' own times are of different moments, commands and loads of the machine. Here every schedule
samples one batch per round on rank 0, another schedule first in every round, so that whatever else
the machine does slows all alike.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.cost.machine import device_name, versions
from tstitch import distributed
from tstitch.benchmark.measure import rotated
from tstitch.files import write_text
from tstitch.first import run_name
from tstitch.pipeline import sample_units
from tstitch.provenance import conditions, engine_text, host_load
from tstitch.resources import Resources
from tstitch.rundir import writing
from tstitch.shards import Unit
from tstitch.stitcher import DENOISE, Stitcher
from tstitch.sweep.plan import Plan
from tstitch.threads import available_cores

TIMING = "timing.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds per image of runs, by the name of their directory."""

    seconds: dict[str, list[float]]  # one entry per round
    denoisers: dict[str, dict[str, float]]  # by denoiser, of the median round
    conditions: dict[str, Any]  # of tstitch.provenance; load: least and most


def time_runs(plan: Plan, folders: list[Path], folder: Path, resources: Resources) -> Rounds | None:
    """Measures every different run of the sweep in turn, or reads what an earlier command measured.

    Every rank calls it alike; rank 0 measures while the others wait.

    Args:
        folders: the runs' directories, in the plan's order.
        folder: of the report, where the measurement is kept.

    Returns:
        On rank 0; None where sweep.timing_rounds=0.

    Raises:
        UserError: the folder cannot be written, or what sampling raises.
    """
    rounds = plan.settings.timing_rounds
    if not rounds:
        return None
    runs = {run_name(f): p.experiment for p, f in zip(plan.points, folders, strict=True)}
    run = plan.points[0].experiment.run
    size = min(run.batch_size, run.num_images)
    key = {
        "runs": list(runs),  # their names end in their fingerprints
        "images": size,
        "rounds": rounds,
        "engine": engine_text(resources.engine),
        "processes": distributed.world_size(),
        "threads": plan.points[0].experiment.engine.threads,
        "machine": [device_name(resources.engine.device), available_cores(), versions()["torch"]],
    }
    found = distributed.on_main(lambda: _read(folder / TIMING, key))
    if found is not None:
        return found
    loaded = resources.loaded()

    def measure() -> Rounds:
        stitchers = {name: Stitcher(experiment, loaded) for name, experiment in runs.items()}
        measured = _measure(stitchers, size, rounds)
        with writing(folder, "sweep.dir"):
            folder.mkdir(parents=True, exist_ok=True)
            content = {"key": key, "measured": asdict(measured)}
            write_text(folder / TIMING, json.dumps(content, indent=1) + "\n")
        return measured

    return distributed.on_main(measure)


def _read(path: Path, key: dict[str, Any]) -> Rounds | None:
    try:
        content = json.loads(path.read_text())
        return Rounds(**content["measured"]) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measure(stitchers: dict[str, Stitcher], size: int, rounds: int) -> Rounds:
    first = next(iter(stitchers.values()))
    loads = [host_load()]
    for stitcher in _warming(stitchers):
        _one_batch(stitcher, size)
    batches: dict[str, list[dict[str, Any]]] = {name: [] for name in stitchers}
    for number in range(rounds):
        log.info("timing %d schedules in turn: round %d of %d", len(batches), number + 1, rounds)
        for name in rotated(list(stitchers), number):
            batches[name].append(_one_batch(stitchers[name], size))
        loads.append(host_load())
    known = [load for load in loads if load is not None]
    where = conditions(first.engine, first.device_name, size)
    return Rounds(
        seconds={n: [_total(b) / size for b in own] for n, own in batches.items()},
        denoisers={name: _denoisers(own, size) for name, own in batches.items()},
        # One process computes, whatever their number; its threads are its share of the cores.
        conditions=where | {"processes": 1, "load": [min(known), max(known)] if known else None},
    )


def _warming(stitchers: dict[str, Stitcher]) -> list[Stitcher]:
    """Some that between them run every denoiser under every guidance."""
    found: list[Stitcher] = []
    seen: set[tuple[float, int]] = set()
    for stitcher in stitchers.values():
        scale = stitcher.experiment.guidance.scale
        ran = {(scale, step.model) for step in stitcher.experiment.sampler.plan}
        if not ran <= seen:
            found.append(stitcher)
            seen |= ran
    return found


def _one_batch(stitcher: Stitcher, size: int) -> dict[str, Any]:
    """Times of the run's first batch, as its shard has them."""
    found: list[dict[str, Any]] = []

    def keep(unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]) -> None:
        found.append(times)

    sample_units(stitcher, [Unit(0, size)], keep)
    return found[0]


def _total(batch: dict[str, Any]) -> float:
    return sum(batch["seconds"].values())


def _denoisers(batches: list[dict[str, Any]], size: int) -> dict[str, float]:
    stages = sorted(batches, key=_total)[(len(batches) - 1) // 2]["seconds"]
    return {n.removeprefix(DENOISE): s / size for n, s in stages.items() if n.startswith(DENOISE)}
