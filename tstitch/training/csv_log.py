"""A table in a file that a resumed training goes on with."""

import csv
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
