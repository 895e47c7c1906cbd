"""`scripts/sample.py`: a distributed, resumable run from configuration to report."""

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.maker.batches import sample_units
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment, ImageMaker
from tstitch.maker.units import Unit
from tstitch.run.directory import RunDirectory, writing
from tstitch.run.evaluation import score_run
from tstitch.run.finished import FinishedRun
from tstitch.run.progress import shard_progress
from tstitch.run.results import plan_run, write_results, written_files
from tstitch.run.schedule import resolve_schedule
from tstitch.run.shards import Shard, write_shard
from tstitch.run.shared_models import SharedModels
from tstitch.run.tracked import track_run
from tstitch.run.worker import run_worker
from tstitch.runtime import distributed
from tstitch.runtime.workers import independent
from tstitch.tracking.tracker import Tracker, start_tracking

log = logging.getLogger(__name__)


def run_sampling(config: dict[str, Any]) -> Path:
    """Samples what is missing of a run, writes its files, evaluates it; returns its directory.

    As one of several workers (`tstitch.runtime.workers`) it shares all of this with the others.

    Raises:
        UserError: bad input, on every rank alike; finished shards stay.
    """
    if (worker := independent()) is not None:
        return run_worker(config, worker)
    config, shared = resolve_schedule(config)
    experiment = parse_experiment(config)
    evaluations = experiment.evaluations(distributed.world_size())
    shared = shared or SharedModels(experiment, evaluations=evaluations)
    with start_tracking(experiment.tracking, "sample", experiment.config) as tracker:
        run = complete_run(experiment, shared, tracker)
        if distributed.is_main():
            track_run(tracker, run)
    return run.folder


def complete_run(experiment: Experiment, shared: SharedModels, tracker: Tracker) -> FinishedRun:
    """Makes one run whole: images, files, evaluation; what is there already is kept.

    Every rank calls it alike.

    Args:
        shared: of an experiment with the same pair, device, dtype and evaluation.
        tracker: gets the number of images as they are made.

    Returns:
        The run, in its directory, or in a folder below it for the first images of a run that has
        more.

    Raises:
        UserError: on every rank alike; finished shards stay.
    """
    identity = distributed.on_main(lambda: shared.identity(experiment))
    directory, engine = RunDirectory(experiment.directory(identity)), shared.engine_of(identity)
    if engine != shared.engine:
        how = "compiled or recorded" if engine.static_shapes else "neither compiled nor recorded"
        log.info("%s: goes on as it was begun, %s", directory.path, how)
    try:
        units = distributed.on_main(lambda: _prepare(directory, experiment, identity))
        if units:
            maker = shared.maker(experiment, engine)
            _generate(units, directory, maker, identity.fingerprint, tracker)
        weights = shared.weights
        run = distributed.on_main(lambda: write_results(directory, experiment, engine, weights))
        run = score_run(run, experiment, shared)
    finally:
        directory.close()
    log.info("%s: %s", run.folder, ", ".join(written_files(run.folder)))
    return run


def _prepare(directory: RunDirectory, experiment: Experiment, identity: Identity) -> list[Unit]:
    """Opens the directory and lists the open units."""
    run = experiment.run
    # A restarted attempt goes on with what the first one overwrote.
    directory.open(identity, experiment.config, run.overwrite and not distributed.restarts())
    return plan_run(directory, experiment)


def _generate(
    units: list[Unit], directory: RunDirectory, maker: ImageMaker, owner: str, tracker: Tracker
) -> None:
    """Every rank samples its strided share; no collective until all are done."""
    run = maker.experiment.run
    share = units[distributed.rank() :: distributed.world_size()]

    def store(unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]) -> None:
        with writing(directory.path):
            write_shard(directory.shards, unit, Shard(images, labels, owner, times))

    bar: AbstractContextManager[None] = nullcontext()
    if distributed.is_main():
        bar = shard_progress(directory.shards, run.num_images, tracker.progress)
    with bar:
        distributed.everywhere(lambda: sample_units(maker, share, store))
