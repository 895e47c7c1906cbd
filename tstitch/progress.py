"""A progress bar on rank 0 that counts the images of all ranks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tstitch.shards import NAME

POLL_S = 0.5


@contextmanager
def shard_progress(folder: Path, total: int) -> Iterator[None]:
    """Shows how many of the images have a shard; counting files needs no collective."""
    from tqdm import tqdm

    finished = threading.Event()
    with tqdm(total=total, desc="sampling", unit="img") as bar:

        def refresh() -> None:
            matches = [NAME.fullmatch(path.name) for path in folder.iterdir()]
            done = sum(int(m[2]) - int(m[1]) for m in matches if m)
            bar.update(min(done, total) - bar.n)

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
