"""`scripts/sample.py`: a distributed, resumable run from configuration to report."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.timing import StageTimer
from tstitch import distributed
from tstitch.device import choose_device, choose_dtype
from tstitch.experiment import Experiment, parse_experiment
from tstitch.fingerprint import fingerprint
from tstitch.finish import find_open_units, finish
from tstitch.labels import choose_labels
from tstitch.pair import locate_weights, space_errors
from tstitch.progress import shard_progress
from tstitch.rundir import RunDirectory, writing
from tstitch.settings import RunSettings
from tstitch.shards import Shard, Unit, write_shard
from tstitch.stitcher import Stitcher
from tstitch.weights import weights_digest

log = logging.getLogger(__name__)


def run_sampling(config: dict[str, Any]) -> Path:
    """Samples what is missing of a run, then writes samples.npz, grid, metrics and report.

    Returns:
        The run directory.

    Raises:
        UserError: bad input, on every rank alike; finished shards stay.
    """
    experiment = parse_experiment(config)
    run = experiment.run
    choose_dtype(run.dtype, choose_device(run.device, "run.device"), "run.dtype")
    distributed.start()
    # Rank 0 fetches first, the others find the files in the cache.
    digests = distributed.on_main(lambda: _digests(experiment))
    decides = distributed.on_main(lambda: _decides(experiment, digests))
    directory = RunDirectory(experiment.directory(decides))
    try:
        units = distributed.on_main(lambda: _prepare(directory, experiment, decides))
        if units:
            _generate(units, directory, experiment, fingerprint(decides))
        distributed.on_main(lambda: finish(directory, experiment, decides))
    finally:
        directory.close()
    log.info("%s: grid.png, samples.npz, metrics.json, report.md", directory.path)
    return directory.path


def _digests(experiment: Experiment) -> dict[str, str]:
    return {spec.name: weights_digest(locate_weights(spec)) for spec in experiment.pair.denoisers}


def _decides(experiment: Experiment, digests: dict[str, str]) -> dict[str, Any]:
    with space_errors():
        return experiment.decides(digests)


def _prepare(
    directory: RunDirectory, experiment: Experiment, decides: dict[str, Any]
) -> list[Unit]:
    """Opens the directory and lists the open units."""
    run = experiment.run
    # A restarted attempt goes on with what the first one overwrote.
    directory.open(decides, experiment.config, run.overwrite and not distributed.restarts())
    units = find_open_units(directory, experiment, fingerprint(decides))
    log.info("%s: %d of %d images to sample", directory.path, sum(map(len, units)), run.num_images)
    return units


def _generate(
    units: list[Unit], directory: RunDirectory, experiment: Experiment, owner: str
) -> None:
    """Every rank samples its strided share; no collective until all are done."""
    specs = experiment.pair.denoisers
    stitcher = distributed.everywhere(
        lambda: Stitcher(experiment, {spec.name: locate_weights(spec) for spec in specs})
    )
    own = units[distributed.rank() :: distributed.world_size()]

    def sample_own() -> None:
        for number, unit in enumerate(own):
            shard = _sample_unit(stitcher, unit, experiment.run, owner, warmup=number == 0)
            with writing(directory.path):
                write_shard(directory.shards, unit, shard)

    total = experiment.run.num_images
    bar = shard_progress(directory.shards, total) if distributed.is_main() else nullcontext()
    with bar:
        distributed.everywhere(sample_own)


def _sample_unit(
    stitcher: Stitcher, unit: Unit, run: RunSettings, owner: str, *, warmup: bool
) -> Shard:
    num_classes = stitcher.experiment.pair.num_classes
    labels = choose_labels(run.classes, unit.indices, seed=run.seed, num_classes=num_classes)
    timer = StageTimer(stitcher.device)
    images = stitcher.images(unit.indices, labels, seed=run.seed, timer=timer)
    times = {
        "images": len(unit),
        "warmup": warmup,
        "device": stitcher.device_name,
        "seconds": timer.seconds(),
    }
    return Shard(images, labels.numpy(), np.array(unit.indices), owner, times)
