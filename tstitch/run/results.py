"""What rank 0 makes of a complete run: samples.npz, grid, images, metrics and report."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evaluation.features.npz_stream import stream_rows
from evaluation.report.frames import frame_sheets, sheet_shape
from evaluation.report.sheets import cell_size, draw_grid
from tstitch.engine.settings import Engine
from tstitch.files.pictures import save_image
from tstitch.files.writing import remove_leftovers
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import Experiment, Weights
from tstitch.maker.units import Unit, cut
from tstitch.run.directory import RunDirectory, write_config, writing
from tstitch.run.export import FOLDERS, export, is_exported
from tstitch.run.finished import EVALUATION, GRID, METRICS, REPORT, FinishedRun
from tstitch.run.first_images import copy_first, first_folder, larger_run, whole_run
from tstitch.run.metrics import RunMetrics, collect_metrics, realised
from tstitch.run.report import write_report
from tstitch.run.samples import (
    IMAGES,
    LABELS,
    SAMPLES,
    count_images,
    is_whole,
    read_steps,
    remove_shards,
    unpack,
    write_samples,
)
from tstitch.run.shards import listed, open_units, scan
from tstitch.run.verified import VerifiedFiles

GRID_SIDE = 1200  # pixels, about
GRID_COLUMNS = 10
PROMPT_LINES = 3  # above an image
log = logging.getLogger(__name__)


def plan_run(directory: RunDirectory, experiment: Experiment) -> list[Unit]:
    """Notes in the directory, which is open, what is asked for; lists the batches still to sample.

    Raises:
        UserError: not writable.
    """
    run = experiment.run
    with writing(directory.path):
        held = larger_run(directory, experiment)
        if held:
            places = (directory.path, held, run.num_images)
            folder = first_folder(directory.path, run.num_images)
            log.info("%s: keeps its %d images; the first %d go to %s", *places, folder)
            return find_open_units(directory, whole_run(experiment, held))
        write_config(directory.path, directory.identity, experiment)
    units = find_open_units(directory, experiment)
    log.info("%s: %d of %d images to sample", directory.path, sum(map(len, units)), run.num_images)
    return units


def find_open_units(directory: RunDirectory, experiment: Experiment) -> list[Unit]:
    """The batches still to sample; a run whose shards were removed is unpacked if it grows.

    Raises:
        UserError: not writable.
    """
    run, shape = experiment.run, experiment.image_shape
    samples, verified = directory.path / SAMPLES, directory.verified
    owner = directory.identity.fingerprint
    units = cut(run.num_images, run.batch_size)
    with writing(directory.path):
        shards = scan(directory.shards, owner, verified)
        whole = is_whole(samples, run.num_images, shape, verified)
        finished = not shards and whole and _read_metrics(directory.path, run.num_images)
        missing = [] if finished else open_units(units, shards)
        packed = count_images(samples)
        if missing and packed and is_whole(samples, packed, shape, verified):
            done = {index for unit in shards for index in unit.indices}
            unpack(samples, directory.shards, owner, run.batch_size, done)
            missing = open_units(units, scan(directory.shards, owner, verified))
        verified.save()
    return missing


def write_results(
    directory: RunDirectory,
    experiment: Experiment,
    engine: Engine,
    weights: Mapping[str, Weights],
) -> FinishedRun:
    """Writes everything outside shards/ but the report, by temporary name and rename.

    A run that is already finished is left as it is, also if it has more images than asked for:
    the first of them get a folder of their own below it.

    Returns:
        The run of as many images as asked for, not evaluated.

    Raises:
        UserError: not writable, or no space; the shards are kept.
    """
    with writing(directory.path):
        held = larger_run(directory, experiment)
    whole = whole_run(experiment, held) if held else experiment
    run = _write_whole(
        directory,
        whole,
        lambda times: collect_metrics(whole, engine, directory.identity, weights, times),
    )
    if not held:
        return run
    write_missing_report(run)
    return _write_first(run, directory.identity, experiment)


def write_missing_report(run: FinishedRun) -> None:
    """Writes the report of a run that has none.

    Raises:
        UserError: not writable, or no space.
    """
    if not (run.folder / REPORT).is_file():
        with writing(run.folder):
            write_report(run)


def _write_whole(
    directory: RunDirectory, experiment: Experiment, collect: Callable[[list[Any]], RunMetrics]
) -> FinishedRun:
    """The files of all its images.

    Args:
        collect: metrics out of what each shard says of its batch.
    """
    run, shape = experiment.run, experiment.image_shape
    folder, verified = directory.path, directory.verified
    with writing(folder):
        samples = folder / SAMPLES
        shards = listed(directory.shards)
        whole = is_whole(samples, run.num_images, shape, verified)
        metrics = _read_metrics(folder, run.num_images) if whole else None
        if metrics is None:
            _remove_stale(folder, whole)
            times = write_samples(
                samples,
                shards,
                directory.identity.fingerprint,
                verified,
                num_images=run.num_images,
                batch_size=run.batch_size,
                image_shape=shape,
            )
            metrics = _realised(collect(times), experiment, samples)
            _write_documents(folder, experiment, metrics)
        for kind in FOLDERS:
            if run.export == kind or (not whole and is_exported(folder, kind)):
                export(folder, kind, experiment.frames, experiment.fps)
        # Those of more images are a larger run's that was stopped.
        inside = shards and all(unit.end <= run.num_images for unit in shards)
        if not run.keep_shards and inside and is_whole(samples, run.num_images, shape):
            remove_shards(directory.shards)
        verified.save()
    return FinishedRun(folder, metrics)


def _write_first(larger: FinishedRun, identity: Identity, experiment: Experiment) -> FinishedRun:
    """The files of the first images of a finished run with more of them."""
    run, shape = experiment.run, experiment.image_shape
    folder = first_folder(larger.folder, run.num_images)
    samples, verified = folder / SAMPLES, VerifiedFiles(folder, identity.fingerprint)
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_leftovers(folder)
        whole = is_whole(samples, run.num_images, shape, verified)
        metrics = _read_metrics(folder, run.num_images) if whole else None
        if metrics is None or metrics.fingerprint != identity.fingerprint:
            _remove_stale(folder, whole=False)
            copy_first(larger.folder / SAMPLES, samples, run.num_images)
            verified.add(samples)
            # The times are those of the whole run.
            protocol = larger.metrics.protocol.model_copy(update={"num_images": run.num_images})
            metrics = larger.metrics.model_copy(update={"protocol": protocol})
            metrics = _realised(metrics, experiment, samples)
            _write_documents(folder, experiment, metrics)
        write_config(folder, identity, experiment)
        if run.export is not None:
            export(folder, run.export, experiment.frames, experiment.fps)
        verified.save()
    return FinishedRun(folder, metrics)


def written_files(folder: Path) -> list[str]:
    """Names of the result files that are there, for a reader."""
    return [
        name for name in (GRID, SAMPLES, METRICS, EVALUATION, REPORT) if (folder / name).exists()
    ]


def _realised(metrics: RunMetrics, experiment: Experiment, samples: Path) -> RunMetrics:
    """The metrics, of an online schedule with the steps that samples.npz tells."""
    steps = read_steps(samples)
    return metrics if steps is None else realised(metrics, experiment, steps)


def _read_metrics(folder: Path, num_images: int) -> RunMetrics | None:
    """metrics.json, None unless it and the grid are there, and it is of this number of images."""
    if not (folder / GRID).is_file():
        return None
    try:
        metrics = RunMetrics.read(folder / METRICS)
    except (OSError, ValueError):
        return None
    return metrics if metrics.protocol.num_images == num_images else None


def _remove_stale(folder: Path, whole: bool) -> None:
    """The report, and the evaluation unless the images are whole and stay."""
    (folder / REPORT).unlink(missing_ok=True)
    if not whole:
        (folder / EVALUATION).unlink(missing_ok=True)


def _write_documents(folder: Path, experiment: Experiment, metrics: RunMetrics) -> None:
    _write_grid(folder, experiment)
    metrics.write(folder / METRICS, indent=2)


def _write_grid(folder: Path, experiment: Experiment) -> None:
    lines = PROMPT_LINES if experiment.has_prompts else 1
    frames = experiment.frames
    width, height = cell_size(sheet_shape(experiment.image_shape, frames), lines)
    columns = max(1, min(GRID_COLUMNS, GRID_SIDE // width))
    count = min(experiment.run.num_images, columns * max(1, GRID_SIDE // height))
    images = frame_sheets(next(stream_rows(folder / SAMPLES, IMAGES, count)), frames)
    labels = next(stream_rows(folder / SAMPLES, LABELS, count))
    names = [experiment.conditions[label] for label in labels]
    save_image(draw_grid(images, names, columns=columns, lines=lines), folder / GRID)
