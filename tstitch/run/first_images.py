"""The first images of a run that holds more: what a smaller request gets; the run stays whole."""

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.features.npz_stream import stream_rows
from tstitch.files.npz import NpzWriter
from tstitch.maker.protocol import Experiment
from tstitch.maker.units import cut
from tstitch.run.directory import RunDirectory
from tstitch.run.samples import (
    IMAGES,
    LABELS,
    SAMPLES,
    STEPS,
    count_images,
    is_whole,
    read_steps,
)
from tstitch.run.shards import open_units, scan

NAME = re.compile(r"first-\d+")
ROWS = 64


def larger_run(directory: RunDirectory, experiment: Experiment) -> int:
    """How many images the directory's finished run has, if they are more than asked for; else 0.

    A damaged samples.npz counts if its shards are all there.
    """
    run, samples = experiment.run, directory.path / SAMPLES
    held = count_images(samples)
    if held <= run.num_images:
        return 0
    if is_whole(samples, held, experiment.image_shape, directory.verified):
        return held
    shards = scan(directory.shards, directory.identity.fingerprint, directory.verified)
    missing = open_units(cut(held, run.batch_size), shards)
    return 0 if missing else held


def whole_run(experiment: Experiment, held: int) -> Experiment:
    """The same run with all its images, nothing of which is exported or removed."""
    kept = {"num_images": held, "keep_shards": True, "export": None}
    run = experiment.run.model_copy(update=kept)
    config = experiment.config | {"run": experiment.config["run"] | {"num_images": held}}
    return replace(experiment, run=run, config=config)


def first_folder(run: Path, count: int) -> Path:
    """Where the first images of a run, or what is made of them, are."""
    return run / f"first-{count}"


def run_name(folder: Path) -> str:
    """The run's own name, of its directory or of the folder of its first images."""
    return folder.parent.name if NAME.fullmatch(folder.name) else folder.name


def copy_first(source: Path, target: Path, count: int) -> None:
    """Writes the first images of a samples.npz, their labels and steps to another, streaming."""

    def rows(name: str) -> Any:
        full, rest = divmod(count, ROWS)
        chunks = stream_rows(source, name, ROWS)
        yield from islice(chunks, full)
        if rest:
            yield next(chunks)[:rest]

    images, labels = next(stream_rows(source, IMAGES, 1)), next(stream_rows(source, LABELS, 1))
    with NpzWriter(target) as writer:
        writer.add(IMAGES, (count, *images.shape[1:]), np.dtype(np.uint8), rows(IMAGES))
        writer.add(LABELS, (count,), labels.dtype, rows(LABELS))
        if (steps := read_steps(source)) is not None:
            writer.add_array(STEPS, steps[:count])
