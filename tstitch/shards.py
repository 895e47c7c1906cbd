"""Shards: the images of one batch each, written whole or not at all, by any rank."""

import json
import logging
import re
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.npz import NpzWriter

NAME = re.compile(r"(\d{8})-(\d{8})\.npz")
# The times of images whose times are not known.
UNTIMED = {"warmup": True, "device": "unknown", "prepared": {}, "seconds": {}, "background": {}}
FIELDS = ("images", "labels", "indices", "fingerprint", "times")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive image indices first..end-1: one batch, one shard."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def indices(self) -> range:
        """The images' indices."""
        return range(self.first, self.end)

    @property
    def name(self) -> str:
        """The shard's file name."""
        return f"{self.first:08d}-{self.end:08d}.npz"


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard file holds."""

    images: np.ndarray  # uint8 (n, H, W, 3)
    labels: np.ndarray  # int64 (n,)
    indices: np.ndarray  # int64 (n,)
    fingerprint: str
    times: dict[str, Any]  # one batch of evaluation.cost.timing.seconds_per_image


class ShardError(ValueError):
    """A shard that cannot be used; the message says why."""


def cut(num_images: int, batch_size: int) -> list[Unit]:
    """The index list in batches, the same for every number of ranks."""
    return [
        Unit(first, min(first + batch_size, num_images))
        for first in range(0, num_images, batch_size)
    ]


def write_shard(folder: Path, unit: Unit, shard: Shard) -> None:
    """Writes the shard of a unit; its times get the seconds that the writing took.

    Raises:
        OSError: no space, not writable; nothing is left under the shard's name.
    """
    started = time.perf_counter()
    with NpzWriter(folder / unit.name) as writer:
        writer.add_array("images", shard.images)
        writer.add_array("labels", shard.labels)
        writer.add_array("indices", shard.indices)
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
        with np.load(path, allow_pickle=False) as data:
            images, labels, indices, owner, times = (data[field] for field in FIELDS)
            times = json.loads(str(times))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ShardError(f"unreadable ({type(error).__name__})") from error
    if str(owner) != fingerprint:
        raise ShardError("of another run")
    expected = np.arange(int(match[1]), int(match[2]))
    if not np.array_equal(indices, expected) or not (len(images) == len(labels) == len(expected)):
        raise ShardError("its images are not the ones its name says")
    return Shard(images, labels, indices, str(owner), times)


def listed(folder: Path) -> dict[Unit, Path]:
    """The shards of a folder by unit, as their names say; nothing is read."""
    matches = [(path, NAME.fullmatch(path.name)) for path in sorted(folder.iterdir())]
    return {Unit(int(match[1]), int(match[2])): path for path, match in matches if match}


def scan(folder: Path, fingerprint: str) -> dict[Unit, Path]:
    """The good shards of a folder by unit; bad ones are named, removed, and made again."""
    found = listed(folder)
    for unit, path in list(found.items()):
        try:
            read_shard(path, fingerprint)
        except ShardError as error:
            log.warning("shard %s: %s; its images are made again", path, error)
            path.unlink()
            del found[unit]
    return found


def open_units(units: Iterable[Unit], found: Iterable[Unit]) -> list[Unit]:
    """The units that no set of found shards covers."""
    done = {index for unit in found for index in unit.indices}
    return [unit for unit in units if not done.issuperset(unit.indices)]


def cover(units: Iterable[Unit], found: Iterable[Unit]) -> list[tuple[Unit, int, int]]:
    """Which rows of which shard give the images of the units, in order.

    A unit's own shard is preferred; a run whose batch size changed is covered by older ones.

    Returns:
        (shard's unit, first index, end index) parts that follow each other without a gap.
    """
    have = set(found)
    owner = {index: unit for unit in sorted(have, key=len) for index in unit.indices}
    parts: list[tuple[Unit, int, int]] = []
    for unit in units:
        if unit in have:
            parts.append((unit, unit.first, unit.end))
            continue
        for index in unit.indices:
            if parts and parts[-1][0] == owner[index] and parts[-1][2] == index:
                parts[-1] = (owner[index], parts[-1][1], index + 1)
            else:
                parts.append((owner[index], index, index + 1))
    return parts
