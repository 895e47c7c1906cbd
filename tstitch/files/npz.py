"""Npz files written as streams, with fixed dates: same arrays, same bytes."""

import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.files.writing import replacing

FIXED_DATE = (1980, 1, 1, 0, 0, 0)


class NpzWriter:
    """Writes arrays into an uncompressed npz, each from a stream of chunks.

    Used as a context manager: the file appears under its name only when the block ends well.
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
