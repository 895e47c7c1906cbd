"""What rank 0 makes of a complete run: samples.npz, grid, images, metrics and report."""

import json
from pathlib import Path
from typing import Any

from evaluation.features.npz_stream import stream_rows
from evaluation.report.sheets import cell_size, draw_grid
from tstitch.engine.settings import Engine
from tstitch.files.pictures import save_image
from tstitch.files.writing import remove_leftovers, write_json, write_text
from tstitch.run.directory import RunDirectory, write_config, writing
from tstitch.run.export import export_images, has_exported
from tstitch.run.first_images import (
    copy_first,
    first_folder,
    first_metrics,
    is_of,
    larger_run,
    whole_run,
)
from tstitch.run.metrics import collect_metrics
from tstitch.run.report import render_report
from tstitch.run.samples import (
    IMAGES,
    LABELS,
    SAMPLES,
    count_images,
    is_whole,
    remove_shards,
    unpack,
    write_samples,
)
from tstitch.run.shards import listed, open_units, scan
from tstitch.sampling.experiment import Experiment
from tstitch.sampling.identity import fingerprint
from tstitch.sampling.units import Unit, cut

GRID, METRICS, REPORT = "grid.png", "metrics.json", "report.md"
EVALUATION = "evaluation.json"
GRID_SIDE = 1200  # pixels, about
GRID_COLUMNS = 10


def find_open_units(directory: RunDirectory, experiment: Experiment, owner: str) -> list[Unit]:
    """The batches still to sample; a run whose shards were removed is unpacked if it grows.

    Raises:
        UserError: not writable.
    """
    run, samples = experiment.run, directory.path / SAMPLES
    units = cut(run.num_images, run.batch_size)
    with writing(directory.path):
        found = scan(directory.shards, owner)
        whole = is_whole(samples, run.num_images, experiment.pair.space.image_size)
        if not found and whole and _is_written(directory.path, run.num_images):
            return []
        missing = open_units(units, found)
        packed = count_images(samples)
        if missing and packed and is_whole(samples, packed, experiment.pair.space.image_size):
            done = {index for unit in found for index in unit.indices}
            unpack(samples, directory.shards, owner, run.batch_size, done)
            missing = open_units(units, scan(directory.shards, owner))
    return missing


def write_results(
    directory: RunDirectory,
    experiment: Experiment,
    engine: Engine,
    identity: dict[str, Any],
    entries: dict[str, str | None],
) -> Path:
    """Writes everything outside shards/, each file by temporary name and rename.

    A run that is already finished is left as it is, also if it has more images than asked for:
    the first of them get a folder of their own below it.

    Args:
        entries: of the denoisers' files, which hold their weights.

    Returns:
        The folder with the files of as many images as asked for.

    Raises:
        UserError: not writable, or no space; the shards are kept.
    """
    with writing(directory.path):
        held = larger_run(directory, experiment, fingerprint(identity))
    if not held:
        _write_results(directory, experiment, engine, identity, entries)
        return directory.path
    _write_results(directory, whole_run(experiment, held), engine, identity, entries)
    return _write_first(directory, experiment, identity)


def _write_results(
    directory: RunDirectory,
    experiment: Experiment,
    engine: Engine,
    identity: dict[str, Any],
    entries: dict[str, str | None],
) -> None:
    run, size = experiment.run, experiment.pair.space.image_size
    folder, owner = directory.path, fingerprint(identity)
    with writing(folder):
        samples = folder / SAMPLES
        found = listed(directory.shards)
        whole = is_whole(samples, run.num_images, size)
        if not whole:
            (folder / EVALUATION).unlink(missing_ok=True)  # of other images
        if not (whole and _is_written(folder, run.num_images)):
            times = write_samples(
                samples,
                found,
                owner,
                num_images=run.num_images,
                batch_size=run.batch_size,
                size=size,
            )
            metrics = collect_metrics(experiment, engine, identity, entries, times)
            _write_documents(folder, experiment, metrics)
        if run.export == "png" or (not whole and has_exported(folder)):
            export_images(folder)
        # Those of more images are a larger run's that was stopped.
        inside = found and all(unit.end <= run.num_images for unit in found)
        if not run.keep_shards and inside and is_whole(samples, run.num_images, size):
            remove_shards(directory.shards)


def _write_first(directory: RunDirectory, experiment: Experiment, identity: dict[str, Any]) -> Path:
    """The files of the first images of a finished run with more of them."""
    run, size = experiment.run, experiment.pair.space.image_size
    folder = first_folder(directory.path, run.num_images)
    samples = folder / SAMPLES
    with writing(folder):
        folder.mkdir(exist_ok=True)
        remove_leftovers(folder)
        whole = is_whole(samples, run.num_images, size)
        whole = whole and is_of(folder / METRICS, fingerprint(identity))
        if not whole:
            (folder / EVALUATION).unlink(missing_ok=True)
        if not (whole and _is_written(folder, run.num_images)):
            copy_first(directory.path / SAMPLES, samples, run.num_images)
            metrics = first_metrics(directory.path / METRICS, run.num_images)
            _write_documents(folder, experiment, metrics)
        write_config(folder, identity, experiment.config)
        if run.export == "png":
            export_images(folder)
    return folder


def written_files(folder: Path) -> list[str]:
    """Names of the result files that are there, for a reader."""
    return [
        name for name in (GRID, SAMPLES, METRICS, EVALUATION, REPORT) if (folder / name).exists()
    ]


def _is_written(folder: Path, num_images: int) -> bool:
    """Whether the report files are there and speak of this number of images."""
    if not all((folder / name).is_file() for name in (GRID, METRICS, REPORT)):
        return False
    try:
        metrics = json.loads((folder / METRICS).read_text())
        return metrics["protocol"]["num_images"] == num_images
    except (ValueError, KeyError, TypeError):
        return False


def _write_documents(folder: Path, experiment: Experiment, metrics: dict[str, Any]) -> None:
    _write_grid(folder, experiment)
    write_text(folder / REPORT, render_report(metrics))
    write_json(folder / METRICS, metrics, indent=2)


def _write_grid(folder: Path, experiment: Experiment) -> None:
    pair = experiment.pair
    width, height = cell_size(pair.space.image_size)
    columns = max(1, min(GRID_COLUMNS, GRID_SIDE // width))
    count = min(experiment.run.num_images, columns * max(1, GRID_SIDE // height))
    images = next(stream_rows(folder / SAMPLES, IMAGES, count))
    labels = next(stream_rows(folder / SAMPLES, LABELS, count))
    names = [pair.class_names[label] for label in labels]
    save_image(draw_grid(images, names, columns=columns), folder / GRID)
