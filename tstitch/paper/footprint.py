"""Parameters, storage and memory of one model, and of two that are stitched (Table 8)."""

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import torch

from evaluation.cost.timing import StageTimer
from tstitch import distributed
from tstitch.engine.host import prepare_host
from tstitch.engine.memory import peak_bytes
from tstitch.engine.settings import choose_engine
from tstitch.errors import UserError
from tstitch.experiment import Experiment, parse_experiment
from tstitch.loaded import LoadedPair
from tstitch.options import option
from tstitch.pair import locate_weights
from tstitch.pipeline import draw_unit
from tstitch.shards import Unit
from tstitch.sizes import network_sizes
from tstitch.stitcher import Stitcher

REPEATS = 5  # what the allocator and the machine add differs from process to process


def measure_footprint(experiment: Experiment) -> list[dict[str, Any]]:
    """Small alone, large alone, and both at fraction 0.5; on rank 0.

    Args:
        experiment: of a pair of two, batch size as it is to be measured.

    Returns:
        models, parameters, storage_bytes of the weights' files (None without), memory_bytes: the
        median of memory_rounds, one entry for each of REPEATS processes.
    """
    small, large = (spec.name for spec in experiment.pair.denoisers)
    sizes = network_sizes(experiment.pair)
    every = ((small,), (large,), (small, large))
    rounds: dict[tuple[str, ...], list[int]] = {names: [] for names in every}
    for _ in range(REPEATS):  # in turn: whatever drifts, drifts for all
        for names in every:
            rounds[names].append(_in_a_process(_config(experiment, names)))
    rows = []
    for names in every:
        specs = [spec for spec in experiment.pair.denoisers if spec.name in names]
        files = [locate_weights(spec) for spec in specs]
        rows.append(
            {
                "models": list(names),
                "parameters": sum(sizes[name].parameters for name in names),
                "storage_bytes": None if None in files else sum(f.stat().st_size for f in files),
                "memory_bytes": median(rounds[names]),
                "memory_rounds": rounds[names],
            }
        )
    return rows


def memory_range(both: Mapping[str, Any], large: Mapping[str, Any]) -> tuple[float, float]:
    """Least and most that one row's memory is of another's, over all pairs of repetitions."""
    ours, theirs = _rounds(both), _rounds(large)
    return min(ours) / max(theirs), max(ours) / min(theirs)


def _rounds(row: Mapping[str, Any]) -> Sequence[float]:
    return row.get("memory_rounds") or [row["memory_bytes"]]


def _config(experiment: Experiment, names: tuple[str, ...]) -> dict[str, Any]:
    """The run with some of its denoisers alone; two take half of the steps each."""
    pair = experiment.config["pair"]
    kept = {name: pair["denoisers"][name] for name in names}
    models = [int(2 * step.index >= experiment.sampler.steps) for step in experiment.sampler.plan]
    section = {"_target_": "samplers.Explicit", "models": [m * (len(names) - 1) for m in models]}
    return experiment.config | {
        "pair": pair | {"denoisers": kept},
        "stitch": section,
        "evaluation": option("evaluation", "none"),
    }


def _in_a_process(config: dict[str, Any]) -> int:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_sample, args=(there, config, distributed.local_rank()))
    process.start()
    there.close()
    try:
        error, result = here.recv()
    except EOFError:
        error, result = "table8: a process died, probably for want of memory", 0
    process.join()
    if error:
        raise UserError(error)
    return result


def _sample(connection: Connection, config: dict[str, Any], local_rank: int) -> None:
    """Samples one batch; sends what the process's memory grew by from before the networks."""
    os.environ |= {"LOCAL_RANK": str(local_rank), "LOCAL_WORLD_SIZE": "1"}
    try:
        experiment = parse_experiment(config)
        engine = choose_engine(experiment.engine, experiment.run)
        prepare_host(engine)
        before = peak_bytes(engine.device)
        weights = {spec.name: locate_weights(spec) for spec in experiment.pair.denoisers}
        stitcher = Stitcher(experiment, LoadedPair(experiment.pair, engine, weights))
        stitcher.prepare()
        batch, _ = draw_unit(stitcher, Unit(0, experiment.run.batch_size))
        stitcher.sample(batch, StageTimer(engine.device)).wait()
        connection.send((None, peak_bytes(engine.device) - before))
    except UserError as error:
        connection.send((str(error), 0))
    except torch.OutOfMemoryError:
        connection.send(("table8: out of device memory; other processes must be idle", 0))
