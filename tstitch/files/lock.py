"""One owner of a folder at a time."""

from pathlib import Path

from filelock import FileLock, Timeout

from tstitch.files.writing import writing_to
from tstitch.runtime.errors import UserError

LOCK_FILE = ".lock"
# Ranks of a killed launcher end by themselves within a second or two.
LOCK_WAIT_S = 8.0


class FolderLock:
    """Keeps a second process out of a folder; ends with its process at the latest.

    Args:
        folder: must be there when the lock is taken.
        field: of the configuration that names it, for messages.
        work: what is done in it: run, training.
    """

    def __init__(self, folder: Path, field: str, work: str) -> None:
        self._folder, self._field, self._work = folder, field, work
        self._lock = FileLock(folder / LOCK_FILE)

    def take(self, wait_s: float = LOCK_WAIT_S) -> None:
        """Waits some seconds for it.

        Raises:
            UserError: the folder is in use, or cannot be written.
        """
        # A timeout is an OSError, too.
        with writing_to(self._folder, self._field, f"choose another {self._field}"):
            try:
                self._lock.acquire(timeout=wait_s)
            except Timeout:
                raise UserError(
                    f"{self._field}={self._folder}: another {self._work} is working there; wait "
                    f"for it, or choose another {self._field}"
                ) from None

    def release(self) -> None:
        """Gives it back, if it was taken."""
        self._lock.release()
