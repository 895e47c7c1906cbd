"""A progress bar on rank 0 that counts the images of all ranks."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tstitch.run.shards import NAME

POLL_S = 0.5
LOG_S = 10.0  # between lines where standard error is no terminal


@contextmanager
def shard_progress(folder: Path, total: int, report: Callable[[int, int], None]) -> Iterator[None]:
    """Shows how many of the images have a shard; counting files needs no collective.

    Args:
        folder: of the shards.
        total: images in all.
        report: called with (images done, images in all) when the number has grown.
    """
    from tqdm import tqdm

    finished = threading.Event()
    interval = POLL_S if sys.stderr.isatty() else LOG_S
    with tqdm(total=total, desc="sampling", unit="img", mininterval=interval) as bar:

        def refresh() -> None:
            matches = [NAME.fullmatch(path.name) for path in folder.iterdir()]
            done = sum(int(m[2]) - int(m[1]) for m in matches if m)
            if done > bar.n:
                bar.update(min(done, total) - bar.n)
                report(bar.n, total)

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
