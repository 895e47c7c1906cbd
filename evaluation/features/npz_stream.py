"""Reading npz and npy files: whole arrays, and rows by number without the whole in memory."""

import io
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

LOCAL_HEADER = struct.Struct("<26xHH")  # 30 bytes; ends with the lengths of name and extra field
# What zipfile and numpy raise for damaged files. RuntimeError: a password, or a compression that
# zipfile does not know; SyntaxError, TokenError: the header of an npy.
DAMAGES = (
    OSError, EOFError, RuntimeError, SyntaxError, tokenize.TokenError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
AGAIN = "copy or write the file again"


class ArrayError(ValueError):
    """What is wrong with an array or its file, and the remedy; one line."""


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an npy stream, which then stands at its first value.

    Raises:
        ArrayError: no npy stream, or not of C-ordered plain values.
    """
    shape, fortran, dtype = _header(stream)
    if fortran:
        raise ArrayError("it is in Fortran order; save np.ascontiguousarray(array)")
    return shape, dtype


def array_names(path: Path) -> list[str]:
    """Names of the arrays in an npz, in the order of the file.

    Raises:
        ArrayError: no npz, or one whose end is missing.
    """
    with _one_line("is no npz, or is cut short"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def load_array(path: Path, name: str) -> np.ndarray:
    """A whole array of an npz, its checksum verified.

    Raises:
        ArrayError: no such array, damaged, or Python objects, which are never unpickled.
    """
    return load_arrays(path, (name,))[0]


def load_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Several of them; arguments and errors as of `load_array`."""
    arrays: list[np.ndarray] = []
    with ExitStack() as opened:
        for name in names:
            with _one_line(f"{name} cannot be read"):
                if not arrays:
                    archive = opened.enter_context(zipfile.ZipFile(path))
                stream = io.BytesIO(archive.read(f"{name}.npy"))  # checks the CRC
                _header(stream)
                stream.seek(0)
                arrays.append(np.lib.format.read_array(stream, allow_pickle=False))
    return arrays


def stream_rows(path: Path, name: str, rows: int) -> Iterator[np.ndarray]:
    """The array of an npz in chunks of at most `rows` rows.

    Raises:
        ArrayError: as of RowReader.
    """
    reader = RowReader(path, name)
    for first in range(0, reader.shape[0], rows):
        yield reader.read(first, min(first + rows, reader.shape[0]))


def member_checksums(path: Path) -> list[int]:
    """The CRC-32 that an npz states for each of its arrays, which are not read.

    Raises:
        ArrayError: no npz, or one whose end is missing.
    """
    with _one_line("is no npz, or is cut short"), zipfile.ZipFile(path) as archive:
        return [info.CRC for info in archive.infolist()]


def verify(path: Path, shapes: Mapping[str, tuple[int, ...]], read: bool = True) -> bool:
    """Whether an npz holds exactly these arrays, whole.

    Args:
        shapes: by name.
        read: whether everything is read for its checksum, or only what the headers say.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if set(archive.namelist()) != {f"{name}.npy" for name in shapes}:
                return False
            if read and archive.testzip() is not None:
                return False
            for name, shape in shapes.items():
                with archive.open(f"{name}.npy") as member:
                    if read_header(member)[0] != shape:
                        return False
    except (ValueError, *DAMAGES):
        return False
    return True


class RowReader:
    """Rows of one array of an npz, or of an npy file.

    An uncompressed member (np.savez) is read where its rows lie; nothing stays open. Its checksum
    covers the member as a whole and is therefore not verified: only lengths are.
    A compressed member (np.savez_compressed) keeps one decompressor: reading from front to back
    decompresses once and verifies the checksum at the end, a jump ahead decompresses what it
    skips (in pieces of 16 MiB), a jump back starts from the front. A copy or another process
    has a decompressor of its own.

    Args:
        path: the file.
        name: the array of an npz; None for an npy file.

    Attributes:
        shape: of the array, at least one axis.
        dtype: of its values, as stored.

    Raises:
        ArrayError: not readable, cut short, not C-ordered plain values, or a single number.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self._path, self._name = path, name
        self._label = name or "the array"
        self._cursor: tuple[int, zipfile.ZipFile, Any] | None = None  # process id, file, member
        with _one_line(f"{self._label} cannot be read"):
            header_bytes, length = self._open()
        if not self.shape:
            raise ArrayError(f"{self._label} is a single number; save an array")
        self._row_bytes = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize
        expected = header_bytes + self.shape[0] * self._row_bytes
        if length != expected:
            size = f"{self._label} has {length} bytes in place of {expected}"
            raise ArrayError(f"{size}; {AGAIN}")

    def read(self, first: int, end: int) -> np.ndarray:
        """Rows first..end-1 as a new array.

        Raises:
            ArrayError: damaged or changed since it was opened.
        """
        length = (end - first) * self._row_bytes
        with _one_line(f"{self._label}, rows {first} to {end}, cannot be read"):
            raw = self._bytes(self._skipped + first * self._row_bytes, length)
        if len(raw) != length:
            raise ArrayError(f"{self._label} ends before row {end}; {AGAIN}")
        return np.frombuffer(raw, self.dtype).reshape(end - first, *self.shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cursor": None}

    def _open(self) -> tuple[int, int]:
        """Reads the headers; bytes of the npy header, and of header and values."""
        if self._name is None:
            with open(self._path, "rb") as file:
                self.shape, self.dtype = read_header(file)
                self._stored, self._skipped = True, file.tell()
                return self._skipped, os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(self._path) as archive:
            info = archive.getinfo(f"{self._name}.npy")
            with archive.open(info) as member:
                self.shape, self.dtype = read_header(member)
                header_bytes = member.tell()
        self._stored, self._skipped = info.compress_type == zipfile.ZIP_STORED, header_bytes
        if not self._stored:
            return header_bytes, info.file_size
        with open(self._path, "rb") as file:
            # The extra field beside the values may differ from the central directory's.
            file.seek(info.header_offset)
            member_start = info.header_offset + LOCAL_HEADER.size
            member_start += sum(LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size)))
            in_file = max(0, os.fstat(file.fileno()).st_size - member_start)
        self._skipped += member_start
        return header_bytes, min(info.file_size, in_file)

    def _bytes(self, start: int, length: int) -> bytearray:
        """Bytes of the file, or of the decompressed member; fewer where it ends."""
        if self._stored:
            with open(self._path, "rb") as file:
                file.seek(start)
                return _filled(file, length)
        if self._cursor is None or self._cursor[0] != os.getpid():
            archive = zipfile.ZipFile(self._path)
            self._cursor = (os.getpid(), archive, archive.open(f"{self._name}.npy"))
        self._cursor[2].seek(start)
        return _filled(self._cursor[2], length)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype; objects are refused."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ArrayError(f"its npy version is {version}; save a plain array")
    if header[2].hasobject:
        raise ArrayError("it holds Python objects, which are never unpickled; save a plain array")
    return header


def _filled(file: Any, length: int) -> bytearray:
    """The next bytes, writable so that no array on them needs a copy; fewer at the end."""
    raw = bytearray(length)
    filled = 0
    while filled < length and (count := file.readinto(memoryview(raw)[filled:])):
        filled += count
    del raw[filled:]
    return raw


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Turns what a damaged file raises into an ArrayError."""
    try:
        yield
    except ArrayError as error:
        raise ArrayError(f"{what}: {error}") from error
    except KeyError as error:
        raise ArrayError(f"{what}: it is not in the file; {AGAIN}") from error
    except (ValueError, *DAMAGES) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArrayError(f"{what} ({reason}); {AGAIN}") from error
