"""Which files of a run are known to be whole: while they stay as they are, nobody reads them."""

import json
from pathlib import Path

from evaluation.features.npz_stream import ArrayError, member_checksums
from tstitch.files.writing import write_json

VERIFIED = ".verified.json"


class VerifiedFiles:
    """Npz files by size, time of change and checksums, as they were when they were read or written.

    Of a file that is as it was, only the end is read, where its checksums stand. Rank 0 keeps the
    record while it holds the run's lock.

    Args:
        folder: where the record lies, and the files it names.
        fingerprint: of the run; the record of another one counts for nothing.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        self._stored = self._read()
        self._known = dict(self._stored)

    def holds(self, path: Path) -> bool:
        """Whether a file is as it was when it was added."""
        known = self._known.get(self._name(path))
        return known is not None and known == _state(path)

    def add(self, path: Path) -> None:
        """A file that was read whole, or written."""
        self._known[self._name(path)] = _state(path)

    def save(self) -> None:
        """Stores what is known of the files that are still there.

        Raises:
            OSError: not writable, or no space.
        """
        known = {n: s for n, s in sorted(self._known.items()) if (self._folder / n).is_file()}
        if known != self._stored:
            content = {"fingerprint": self._fingerprint, "files": known}
            write_json(self._folder / VERIFIED, content, indent=None)
            self._stored = known

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _read(self) -> dict[str, list[int] | None]:
        try:
            content = json.loads((self._folder / VERIFIED).read_text())
            return dict(content["files"]) if content["fingerprint"] == self._fingerprint else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _state(path: Path) -> list[int] | None:
    try:
        status = path.stat()
        return [status.st_size, status.st_mtime_ns, *member_checksums(path)]
    except (OSError, ArrayError):
        return None
