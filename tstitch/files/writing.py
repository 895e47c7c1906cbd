"""Files that appear under their name whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tstitch.runtime.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    # A dying process of a killed run may still write: its temporary file is its own.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)  # there only if something failed


@contextmanager
def writing_file(path: Path, field: str) -> Iterator[None]:
    """Makes the folder of a file that the block writes.

    Raises:
        UserError: naming the field, what cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"{field}={path}: cannot be written ({error.strerror})") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file by temporary name and rename."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
