"""Shards: the images of one batch each, written whole or not at all, by any rank."""

import json
import logging
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.features.npz_stream import load_arrays
from tstitch.files.npz import NpzWriter
from tstitch.maker.units import Unit
from tstitch.run.verified import VerifiedFiles

NAME = re.compile(r"(\d{8})-(\d{8})\.npz")  # first and end index; see write_shard
# The times of images whose times are not known.
UNTIMED = {"warmup": True, "device": "unknown", "prepared": {}, "seconds": {}, "background": {}}
FIELDS = ("images", "labels", "indices", "fingerprint", "times")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard file holds."""

    images: np.ndarray  # uint8 (n, H, W, 3)
    labels: np.ndarray  # int64 (n,)
    fingerprint: str
    times: dict[str, Any]  # one batch of evaluation.cost.timing.seconds_per_image


class ShardError(ValueError):
    """A shard that cannot be used; the message says why."""


def write_shard(folder: Path, unit: Unit, shard: Shard) -> None:
    """Writes the shard of a unit; its times get the seconds that the writing took.

    Raises:
        OSError: no space, not writable; nothing is left under the shard's name.
    """
    started = time.perf_counter()
    with NpzWriter(folder / f"{unit.first:08d}-{unit.end:08d}.npz") as writer:
        writer.add_array("images", shard.images)
        writer.add_array("labels", shard.labels)
        writer.add_array("indices", np.array(unit.indices))
        writer.add_array("fingerprint", np.array(shard.fingerprint))
        beside = shard.times["background"] | {"write": time.perf_counter() - started}
        times = shard.times | {"background": beside}
        writer.add_array("times", np.array(json.dumps(times)))


def read_shard(path: Path, fingerprint: str) -> Shard:
    """Reads a shard, every checksum included.

    Raises:
        ShardError: truncated, damaged, mislabelled, or of another run.
    """
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ShardError("its name is no shard's")
    try:
        images, labels, indices, owner, times = load_arrays(path, FIELDS)
        times = json.loads(str(times))
    except ValueError as error:
        reason = type(error.__cause__ or error).__name__
        raise ShardError(f"unreadable ({reason})") from error
    if str(owner) != fingerprint:
        raise ShardError("of another run")
    expected = np.arange(int(match[1]), int(match[2]))
    if not np.array_equal(indices, expected) or not (len(images) == len(labels) == len(expected)):
        raise ShardError("its images are not the ones its name says")
    return Shard(images, labels, fingerprint, times)


def listed(folder: Path) -> dict[Unit, Path]:
    """The shards of a folder by unit, as their names say; nothing is read. None of no folder."""
    matches = [NAME.fullmatch(name) for name in sorted(file_names(folder))]
    return {Unit(int(match[1]), int(match[2])): folder / match[0] for match in matches if match}


def file_names(folder: Path) -> set[str]:
    """Of all that it holds. None of no folder: another worker packs its shards."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def scan(folder: Path, fingerprint: str, verified: VerifiedFiles) -> dict[Unit, Path]:
    """The good shards of a folder by unit; bad ones are named, removed, and made again.

    Args:
        verified: shards among these are not read; others are added.
    """
    shards = listed(folder)
    for unit, path in list(shards.items()):
        if verified.holds(path):
            continue
        try:
            read_shard(path, fingerprint)
            verified.add(path)
        except ShardError as error:
            log.warning("shard %s: %s; its images are made again", path, error)
            path.unlink()
            del shards[unit]
    return shards


def open_units(units: Iterable[Unit], shards: Iterable[Unit]) -> list[Unit]:
    """The units that the shards do not cover."""
    done = {index for unit in shards for index in unit.indices}
    return [unit for unit in units if not done.issuperset(unit.indices)]


def cover(units: Iterable[Unit], shards: Iterable[Unit]) -> list[tuple[Unit, int, int]]:
    """Which rows of which shard give the images of the units, in order.

    A unit's own shard is preferred; a run whose batch size changed is covered by older ones.

    Returns:
        (shard's unit, first index, end index) parts that follow each other without a gap.
    """
    available = set(shards)
    shard_of = {index: unit for unit in sorted(available, key=len) for index in unit.indices}
    parts: list[tuple[Unit, int, int]] = []
    for unit in units:
        if unit in available:
            parts.append((unit, unit.first, unit.end))
            continue
        for index in unit.indices:
            if parts and parts[-1][0] == shard_of[index] and parts[-1][2] == index:
                parts[-1] = (shard_of[index], parts[-1][1], index + 1)
            else:
                parts.append((shard_of[index], index, index + 1))
    return parts
