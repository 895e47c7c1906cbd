"""A table in a file that a resumed training goes on with, and its columns of speed."""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class CsvLog:
    """Rows with a column `step`; those after the checkpoint will be written again.

    Args:
        path: the file; made, or rewritten with its rows up to `step`.
        fields: its columns.
        step: of the checkpoint.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, fields: Sequence[str], step: int) -> None:
        self._path, self._fields = path, fields
        kept = []
        if path.is_file():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows(kept)

    def append(self, *rows: Mapping[str, object]) -> None:
        """Adds rows at the end."""
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._fields).writerows(rows)


class Speed:
    """Images per second since the last time it was asked, or begun again."""

    FIELDS = ("images_per_s", "cpu_images_per_s")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Leaves out what was done until now."""
        self._since = self._now()

    def columns(self, images: int) -> dict[str, str]:
        """Of the clock, and of the time that this process has had a core for; begins again."""
        spent = [now - then for now, then in zip(self._now(), self._since, strict=True)]
        self.begin()
        rates = (f"{images / max(seconds, 1e-9):.1f}" for seconds in spent)
        return dict(zip(self.FIELDS, rates, strict=True))

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()
