"""samples.npz, the run's images in ADM's format, and the way back to shards."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.features.images import IMAGES, LABELS
from evaluation.features.npz_stream import (
    ArrayError,
    RowReader,
    array_names,
    load_array,
    stream_rows,
    verify,
)
from tstitch.files.npz import NpzWriter
from tstitch.maker.units import Unit, cut
from tstitch.run.shards import UNTIMED, Shard, ShardError, cover, read_shard, write_shard
from tstitch.run.verified import VerifiedFiles
from tstitch.runtime.errors import UserError

SAMPLES = "samples.npz"
STEPS = "steps"  # int32 (N, denoisers), beside the images of a schedule that they decided


def count_images(path: Path) -> int:
    """Number of images in a samples.npz, 0 if there is none or it is damaged."""
    try:
        return RowReader(path, IMAGES).shape[0]
    except ValueError:
        return 0


def has_steps(path: Path) -> bool:
    """Whether a samples.npz tells the steps of each image: those of an online schedule do."""
    try:
        return STEPS in array_names(path) and len(RowReader(path, STEPS).shape) == 2
    except ArrayError:
        return False


def read_steps(path: Path) -> np.ndarray | None:
    """Evaluations of the schedule that each denoiser ran of each image, int32 (N, denoisers);
    None = as planned."""
    return load_array(path, STEPS) if has_steps(path) else None


def is_whole(
    path: Path, num_images: int, image_shape: tuple[int, int], verified: VerifiedFiles | None = None
) -> bool:
    """Whether samples.npz holds exactly these images, every checksum right.

    Args:
        verified: it is not read if it is among these, else added; None = it is read.
    """
    shapes = {IMAGES: (num_images, *image_shape, 3), LABELS: (num_images,)}
    if has_steps(path):
        shapes[STEPS] = (num_images, RowReader(path, STEPS).shape[1])
    known = verified is not None and verified.holds(path)
    whole = verify(path, shapes, read=not known)
    if whole and verified is not None:
        verified.add(path)
    return whole


def write_samples(
    path: Path,
    shards: dict[Unit, Path],
    owner: str,
    verified: VerifiedFiles,
    *,
    num_images: int,
    batch_size: int,
    image_shape: tuple[int, int],
) -> list[dict[str, Any]]:
    """Streams the images of the shards into samples.npz, one shard in memory at a time.

    Args:
        shards: good ones that cover the images.
        owner: the run's fingerprint.
        verified: gets the shards and samples.npz.
        image_shape: height and width of the images.

    Returns:
        The shards' times, one entry for each shard used.

    Raises:
        UserError: a shard was damaged meanwhile.
    """
    labels: list[np.ndarray] = []
    steps: list[list[int]] = []  # of each image, where its shard tells
    times: dict[Unit, dict[str, Any]] = {}

    def images() -> Iterator[np.ndarray]:
        for unit, first, end in cover(cut(num_images, batch_size), shards):
            try:
                shard = read_shard(shards[unit], owner)
            except ShardError as error:  # it was whole when the run began or when it was written
                raise UserError(f"{shards[unit]}: {error}; run the same command again") from error
            verified.add(shards[unit])
            rows = slice(first - unit.first, end - unit.first)
            labels.append(shard.labels[rows])
            times[unit] = shard.times
            steps.extend(shard.times.get(STEPS, [])[rows])
            yield shard.images[rows]

    with NpzWriter(path) as writer:
        writer.add(IMAGES, (num_images, *image_shape, 3), np.dtype(np.uint8), images())
        writer.add_array(LABELS, np.concatenate(labels))
        if steps:
            writer.add_array(STEPS, np.array(steps, np.int32))
    verified.add(path)
    return list(times.values())


def unpack(path: Path, shards: Path, owner: str, batch_size: int, done: set[int]) -> None:
    """Makes shards of the images of samples.npz that are not done: the run can be extended."""
    num_images = count_images(path)
    labels, steps = load_array(path, LABELS), read_steps(path)
    stream = stream_rows(path, IMAGES, batch_size)
    for unit, images in zip(cut(num_images, batch_size), stream, strict=True):
        if not done.issuperset(unit.indices):
            times = UNTIMED | {"images": len(unit)}
            if steps is not None:
                times |= {STEPS: steps[unit.first : unit.end].tolist()}
            rows = labels[unit.first : unit.end]
            write_shard(shards, unit, Shard(images, rows, owner, times))


def remove_shards(shards: Path) -> None:
    """Empties the folder of shards."""
    shutil.rmtree(shards)
    shards.mkdir()
