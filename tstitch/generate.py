"""`scripts/sample.py`: a distributed, resumable run from configuration to report."""

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tstitch import distributed
from tstitch.budget import resolve_budget
from tstitch.experiment import Experiment, parse_experiment
from tstitch.fingerprint import fingerprint
from tstitch.finish import find_open_units, finish, written_files
from tstitch.first import first_folder, larger_run, whole_run
from tstitch.pipeline import sample_units
from tstitch.progress import shard_progress
from tstitch.resources import Resources
from tstitch.rundir import RunDirectory, write_config, writing
from tstitch.scoring.runs import score_run
from tstitch.shards import Shard, Unit, write_shard
from tstitch.stitcher import Stitcher
from tstitch.tracking import Tracker, start_tracking, track_run

log = logging.getLogger(__name__)


def run_sampling(config: dict[str, Any]) -> Path:
    """Samples what is missing of a run, writes its files and evaluates it.

    Returns:
        The run directory.

    Raises:
        UserError: bad input, on every rank alike; finished shards stay.
    """
    config, resources = resolve_budget(config)
    experiment = parse_experiment(config)
    evaluations = experiment.evaluations(distributed.world_size())
    resources = resources or Resources(experiment, evaluations=evaluations)
    with start_tracking(experiment.tracking, "sample", experiment.config) as tracker:
        folder = complete_run(experiment, resources, tracker)
        if distributed.is_main():
            track_run(tracker, folder)
    return folder


def complete_run(experiment: Experiment, resources: Resources, tracker: Tracker) -> Path:
    """Makes one run whole: images, files, evaluation; what is there already is kept.

    Every rank calls it alike.

    Args:
        resources: of an experiment with the same pair, device, dtype and evaluation.
        tracker: gets the number of images as they are made.

    Returns:
        The folder with its files: the run directory, or one below it for the first images of a
        run that has more.

    Raises:
        UserError: on every rank alike; finished shards stay.
    """
    decides = distributed.on_main(lambda: resources.decides(experiment))
    directory, engine = RunDirectory(experiment.directory(decides)), resources.engine_of(decides)
    if engine != resources.engine:
        how = "compiled or recorded" if engine.static_shapes else "neither compiled nor recorded"
        log.info("%s: goes on as it was begun, %s", directory.path, how)
    try:
        units = distributed.on_main(lambda: _prepare(directory, experiment, decides))
        if units:
            stitcher = Stitcher(experiment, resources.loaded(engine))
            _generate(units, directory, stitcher, fingerprint(decides), tracker)
        entries = resources.entries
        folder = distributed.on_main(
            lambda: finish(directory, experiment, engine, decides, entries)
        )
        score_run(folder, experiment, resources)
    finally:
        directory.close()
    log.info("%s: %s", folder, ", ".join(written_files(folder)))
    return folder


def _prepare(
    directory: RunDirectory, experiment: Experiment, decides: dict[str, Any]
) -> list[Unit]:
    """Opens the directory and lists the open units."""
    run = experiment.run
    # A restarted attempt goes on with what the first one overwrote.
    directory.open(decides, experiment.config, run.overwrite and not distributed.restarts())
    with writing(directory.path):
        held = larger_run(directory, experiment, fingerprint(decides))
        if held:
            own, count = first_folder(directory.path, run.num_images), run.num_images
            log.info("%s: keeps its %d images; the first %d go to %s", own.parent, held, count, own)
            return find_open_units(directory, whole_run(experiment, held), fingerprint(decides))
        write_config(directory.path, decides, experiment.config)
    units = find_open_units(directory, experiment, fingerprint(decides))
    log.info("%s: %d of %d images to sample", directory.path, sum(map(len, units)), run.num_images)
    return units


def _generate(
    units: list[Unit], directory: RunDirectory, stitcher: Stitcher, owner: str, tracker: Tracker
) -> None:
    """Every rank samples its strided share; no collective until all are done."""
    run = stitcher.experiment.run
    own = units[distributed.rank() :: distributed.world_size()]

    def store(unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]) -> None:
        shard = Shard(images, labels, np.array(unit.indices), owner, times)
        with writing(directory.path):
            write_shard(directory.shards, unit, shard)

    bar: AbstractContextManager[None] = nullcontext()
    if distributed.is_main():
        bar = shard_progress(directory.shards, run.num_images, tracker.progress)
    with bar:
        distributed.everywhere(lambda: sample_units(stitcher, own, store))
