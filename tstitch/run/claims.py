"""Who makes which batch of a run that several workers share: files that are created or refused.

Made for file systems of clusters: nothing is locked; a worker is alive as long as its own file is
touched. Two may make the same batch where one was taken for dead: both write the same bytes.
"""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tstitch.maker.units import Unit
from tstitch.runtime.workers import died_here, unique_name

FOLDER = "workers"  # in the run's directory; gone when the last worker leaves
CLAIM = ".claim"
ALIVE = ".alive"
TOUCH_S = 15.0
SILENT_S = 300.0  # after which a worker of another machine is taken for dead; attributes are cached


class Claims:
    """What this worker has of a run; a context in which it counts as alive.

    Args:
        folder: of the run.

    Raises:
        OSError: not writable.
    """

    def __init__(self, folder: Path) -> None:
        self.name = unique_name()
        self._folder = folder / FOLDER
        self._own = self._folder / f"{self.name}{ALIVE}"
        self._mine: set[str] = set()
        self._left = threading.Event()

    def __enter__(self) -> Self:
        self._appear()
        self._thread = threading.Thread(target=self._stay_alive, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()
        for what in list(self._mine):
            if _owner(self._path(what)) == self.name:
                self.give_back(what)
        self._own.unlink(missing_ok=True)
        with suppress(OSError):  # others are there
            self._folder.rmdir()

    def take(self, what: str) -> bool:
        """Claims a piece of work; False if a worker that is alive has it.

        Args:
            what: its name, letters, digits and -.
        """
        taken = self._take(self._path(what))
        if taken:
            self._mine.add(what)
        return taken

    def give_back(self, what: str) -> None:
        """Ends a claim of its own."""
        self._path(what).unlink(missing_ok=True)
        self._mine.discard(what)

    def has(self, what: str) -> bool:
        """Whether it is this worker that claims it."""
        return what in self._mine

    def held(self) -> set[str]:
        """What anybody claims at this moment, dead workers included; the folder is listed once."""
        return {name.removesuffix(CLAIM) for name in _entries(self._folder, CLAIM)}

    def _take(self, path: Path) -> bool:
        if self._create(path):
            return True
        owner = _owner(path)
        if owner is None:  # it was given back in between
            return self._create(path)
        if owner == self.name:
            return True
        if _alive(self._folder / f"{owner}{ALIVE}", self._now()):
            return False
        aside = path.with_name(f"{path.name}.{self.name}")
        try:
            path.rename(aside)  # of several that see it dead, one does
        except FileNotFoundError:
            return False
        if _owner(aside) != owner:  # another was faster, and this is its own claim
            with suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink(missing_ok=True)
            return False
        aside.unlink(missing_ok=True)
        return self._create(path)

    def _path(self, what: str) -> Path:
        return self._folder / f"{what}{CLAIM}"

    def _create(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            file.write(self.name)
        return True

    def _appear(self) -> None:
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the last of the others took the folder along
                self._own.touch()
                return

    def _now(self) -> float:
        """By the clock of the file system, which is not that of every machine."""
        self._own.touch()
        return self._own.stat().st_mtime

    def _stay_alive(self) -> None:
        while not self._left.wait(TOUCH_S):
            with suppress(OSError):
                self._own.touch()


def name_of(unit: Unit) -> str:
    """Of a batch, as its claim has it."""
    return f"{unit.first:08d}-{unit.end:08d}"


def workers_alive(folder: Path) -> list[str]:
    """Names of the workers that share a run at this moment, as seen by somebody who does not.

    Args:
        folder: of the run.
    """
    now = time.time()
    place = folder / FOLDER
    found = sorted(_entries(place, ALIVE))
    return [name.removesuffix(ALIVE) for name in found if _alive(place / name, now)]


def _entries(folder: Path, ending: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(ending)]
    except FileNotFoundError:
        return []


def _alive(path: Path, now: float) -> bool:
    try:
        silent = now - path.stat().st_mtime
    except FileNotFoundError:
        return False
    return silent < SILENT_S and not died_here(path.name.removesuffix(ALIVE))


def _owner(path: Path) -> str | None:
    """Who has a claim; None if it is gone. One that is being written has nobody's name yet."""
    for _ in range(20):
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        if text:
            return text
        time.sleep(0.05)
    return "nobody-0-0"  # killed while it wrote
