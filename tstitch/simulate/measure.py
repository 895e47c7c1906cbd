"""What runs cost besides sampling, measured here by the code that runs use, in a scratch folder.

Files that were just written are in memory, and the disk is this machine's: a file system of a
network is slower, see `simulate.slower`.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tstitch.files.lock import FolderLock
from tstitch.files.writing import write_text
from tstitch.maker.units import Unit, cut
from tstitch.run.claims import Claims, name_of
from tstitch.run.samples import write_samples
from tstitch.run.shards import UNTIMED, Shard, file_names, scan, write_shard
from tstitch.run.verified import VerifiedFiles
from tstitch.runtime.threads import available_cores
from tstitch.simulate.model import Costs

ROUNDS = 5  # the median counts
CLAIMS = 500  # of each process
SMALL_SHARDS, SMALL_SIDE = 200, 2  # whose bytes cost nothing
LARGE_BYTES = 256 * 2**20  # of the images of all large shards, at least three shards
OWNER = "measured"


def measure_costs(folder: Path, units: int, batch_size: int, image: tuple[int, int]) -> Costs:
    """All costs, medians of some rounds; takes about a minute, and twice LARGE_BYTES of the disk.

    Args:
        folder: empty; stays full.
        units: batches of a run, whose files are listed.
        image: height and width of the images of the large shards.
    """
    start = _median(_import_all, 3)
    names = [name_of(unit) for unit in cut(units * batch_size, batch_size)]
    locked, look = _time_shared(folder / "shared", names)
    claim, refused = _time_claims(folder / "claims")
    empty = _time_shards(folder / "small", SMALL_SHARDS, batch_size, (SMALL_SIDE, SMALL_SIDE))
    size = batch_size * image[0] * image[1] * 3
    count = max(3, LARGE_BYTES // size)
    full = _time_shards(folder / "large", count, batch_size, image)
    write, read, pack = (
        max(0.0, one - other) / size for one, other in zip(full, empty, strict=True)
    )
    return Costs(start, locked, look, claim, refused, empty[1] + empty[2], read, pack, write)


def _median(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of an action."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def _import_all() -> None:
    subprocess.run([sys.executable, "-c", "import tstitch.run.generate"], check=True)


def _time_shared(folder: Path, names: list[str]) -> tuple[float, float]:
    """What is done under the lock when a worker joins; a look at all files, for each of them."""
    shards, config = folder / "shards", folder / "config.yaml"
    shards.mkdir(parents=True)
    for name in names:
        (shards / f"{name}.npz").touch()
    write_text(config, "x" * 4000)
    lock = FolderLock(folder, "simulate.measure", "measurement")

    def join() -> None:
        lock.take()
        config.read_bytes()
        file_names(shards)
        write_text(config, "x" * 4000)
        lock.release()

    with Claims(folder) as claims:
        for name in names:
            claims.take(name)
        look = _median(lambda: (file_names(shards), claims.held()))
    return _median(join), look / len(names)


def _time_claims(folder: Path) -> tuple[float, float]:
    """Seconds per batch claimed and given back, by a process on each core; per one refused."""
    folder.mkdir()
    count = max(2, available_cores())
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        tasks = [pool.submit(_claim_many, folder, number) for number in range(count)]
        spans = [task.result() for task in tasks]
    begin, end = min(begin for begin, _ in spans), max(end for _, end in spans)
    with Claims(folder) as one, Claims(folder) as other:
        one.take("a")
        refused = _median(lambda: [other.take("a") for _ in range(CLAIMS)]) / CLAIMS
    return (end - begin) / (count * CLAIMS), refused


def _claim_many(folder: Path, number: int) -> tuple[float, float]:
    """When a process began and ended to claim batches."""
    with Claims(folder) as claims:
        begin = time.time()
        for batch in range(CLAIMS):
            claims.take(f"{number}-{batch}")
            claims.give_back(f"{number}-{batch}")
        return begin, time.time()


def _time_shards(
    folder: Path, count: int, batch_size: int, image: tuple[int, int]
) -> tuple[float, float, float]:
    """Seconds per shard to write it, to read it, and to put it into samples.npz."""
    shards = folder / "shards"
    shards.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *image, 3), np.uint8)
    labels, units = np.zeros(batch_size, np.int64), cut(count * batch_size, batch_size)
    times = UNTIMED | {"images": batch_size}

    def write(unit: Unit) -> float:
        begin = time.perf_counter()
        write_shard(shards, unit, Shard(images, labels, OWNER, times))
        return time.perf_counter() - begin

    def pack() -> None:
        write_samples(
            folder / "samples.npz",
            scan(shards, OWNER, verified),
            OWNER,
            verified,
            num_images=count * batch_size,
            batch_size=batch_size,
            image_shape=image,
        )

    writing = [write(unit) for unit in units]
    verified = VerifiedFiles(folder, OWNER)
    reading = _median(lambda: scan(shards, OWNER, verified), 1)
    return statistics.median(writing), reading / count, _median(pack, 1) / count
