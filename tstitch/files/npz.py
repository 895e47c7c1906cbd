"""Streaming npz files with fixed dates: same arrays, same bytes; never whole in memory."""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.features.npz_stream import RowReader, read_header
from tstitch.files.writing import replacing

FIXED_DATE = (1980, 1, 1, 0, 0, 0)


class NpzWriter:
    """Writes arrays into an uncompressed npz, each from a stream of chunks.

    Used as a context manager: the file appears under its name only when the block ends well.

    Args:
        path: the final name; the temporary one lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._open = path, ExitStack()

    def __enter__(self) -> "NpzWriter":
        temporary = self._open.enter_context(replacing(self._path))
        self._zip = self._open.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED))
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)

    def add(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, chunks: Iterable[np.ndarray]
    ) -> None:
        """Adds an array of this shape and dtype; the chunks are its rows, in order."""
        info = zipfile.ZipInfo(f"{name}.npy", FIXED_DATE)
        info.external_attr = 0o644 << 16
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        with self._zip.open(info, "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for chunk in chunks:
                member.write(np.ascontiguousarray(chunk, dtype).tobytes())

    def add_array(self, name: str, array: np.ndarray) -> None:
        """Adds a whole array."""
        self.add(name, array.shape, array.dtype, [array])


def stream_rows(path: Path, name: str, rows: int) -> Iterator[np.ndarray]:
    """The array of an npz in chunks of at most `rows` rows."""
    reader = RowReader(path, name)
    for first in range(0, reader.shape[0], rows):
        yield reader.read(first, min(first + rows, reader.shape[0]))


def verify(path: Path, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether an npz holds exactly these arrays, whole: every checksum is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {f"{name}.npy" for name in shapes}
            if set(archive.namelist()) != names or archive.testzip() is not None:
                return False
            for name, shape in shapes.items():
                with archive.open(f"{name}.npy") as member:
                    if read_header(member)[0] != shape:
                        return False
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False
    return True
