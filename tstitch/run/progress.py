"""The progress of a run, on rank 0, which counts the images of all ranks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tstitch.run.shards import listed
from tstitch.runtime.progress import Progress

POLL_S = 0.5


@contextmanager
def shard_progress(folder: Path, total: int, report: Callable[[int, int], None]) -> Iterator[None]:
    """Shows how many of the images have a shard; counting files needs no collective.

    Args:
        folder: of the shards.
        total: images in all.
        report: called with (images done, images in all) when the number has grown.
    """
    finished = threading.Event()
    there = sum(map(len, listed(folder)))
    with Progress("sampling", "images", total, min(there, total)) as progress:

        def refresh() -> None:
            before = progress.done
            progress.reach(sum(map(len, listed(folder))))
            if progress.done > before:
                report(progress.done, total)

        def watch() -> None:
            while not finished.wait(POLL_S):
                refresh()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
            refresh()
