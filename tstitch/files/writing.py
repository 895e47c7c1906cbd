"""Files that appear under their name whole or not at all."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tstitch.runtime.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    # A dying process of a killed run may still write: its temporary file is its own.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)  # there only if something failed


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of processes that were killed; nobody else may be at work."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def writing_to(
    path: Path | str, field: str, remedy: str = "", also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turns what a full or read-only disk raises in the block into one line.

    Args:
        path: what is written, as the field has it.
        field: the configuration's name of it.
        remedy: what to do about it.
        also: other exceptions than OSError that say so.

    Raises:
        UserError: it cannot be written.
    """
    failures: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except failures as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        line = f"{field}={path}: cannot be written ({reason or type(error).__name__})"
        raise UserError(f"{line}; {remedy}" if remedy else line) from error


@contextmanager
def writing_file(path: Path, field: str) -> Iterator[None]:
    """The same for a file, whose folder is made.

    Raises:
        UserError: it cannot be written.
    """
    with writing_to(path, field):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """Writes a JSON file by temporary name and rename."""
    write_text(path, json_text(content, indent))


def json_text(content: Any, indent: int | None = 1) -> str:
    """What `write_json` writes."""
    return json.dumps(content, indent=indent) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes a text file by temporary name and rename, unless it says this already."""
    content = text.encode()
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass  # it is not there, or not to be read: writing tells
    with replacing(path) as temporary:
        temporary.write_bytes(content)
