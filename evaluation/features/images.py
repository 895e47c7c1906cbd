"""Images to evaluate: an npz of ADM's format, an npy, a folder of image files, or an array."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from evaluation.features.image_files import (
    SUFFIXES,
    Listing,
    decodable,
    decode_rgb,
    is_hidden,
    list_images,
    upright_size,
)
from evaluation.features.npz_stream import RowReader, array_names, load_array
from evaluation.features.resizing import resized

IMAGES, LABELS = "arr_0", "arr_1"
LAYOUT = "give uint8 (N, H, W, 3), or (N, H, W) for greyscale"


class Rows(Protocol):
    """An array that is read by rows."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, first: int, end: int) -> np.ndarray: ...


class ImageSource:
    """Images of one size, read by number.

    Picklable; a copy in another process reads for itself.

    Args:
        rows: uint8 (N, H, W, 3), (N, H, W, 1) or (N, H, W).
        labels: (N,) integers, or None.
        place: "field=PATH", the beginning of error messages.
        listing: the files, if the images are those of a folder.

    Attributes:
        height, width: of every image, in pixels.
        labels: int64 (N,) class of each image, negative where it is unknown, or None.
        prompts: texts that the labels are numbers of, once they are known; None = of classes.
        listing: as given.

    Raises:
        ValueError: another dtype or layout, no images, or labels that do not fit.
    """

    def __init__(
        self, rows: Rows, labels: np.ndarray | None, place: str, listing: Listing | None = None
    ) -> None:
        shape = tuple(rows.shape)
        if problem := _problem(shape, rows.dtype) or _label_problem(labels, shape[0]):
            raise ValueError(f"{place}: {problem}")
        self._rows, self._place, self.listing = rows, place, listing
        self.height, self.width = shape[1:3]
        self.labels = None if labels is None else labels.astype(np.int64)
        self.prompts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return self._rows.shape[0]

    def read(self, first: int, end: int) -> np.ndarray:
        """Images first..end-1: uint8 (end - first, H, W, 3), RGB, a new array.

        Raises:
            IndexError: numbers outside 0..N.
            ValueError: a damaged file.
        """
        if not 0 <= first <= end <= len(self):
            raise IndexError(f"images {first} to {end} of {len(self)}")
        with _placed(self._place):
            images = self._rows.read(first, end)
        if images.ndim == 3:
            images = images[..., None]
        return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images


def open_images(
    source: str | Path | np.ndarray,
    field: str,
    *,
    need_labels: bool = True,
    side: int | None = None,
) -> ImageSource:
    """Opens images without reading them; of a folder, the header of every file is read.

    Args:
        source: path of an npz (arr_0 images, optionally arr_1 labels), of an npy, or of a folder
            of image files (which and in which order: `image_files.list_images`; without labels);
            or an array. uint8 (N, H, W, 3), (N, H, W, 1) or (N, H, W).
            Reading a compressed npz out of order is slow, see `RowReader`.
        field: name of the setting, for messages.
        need_labels: False = labels that are no integers, one per image, are as good as none.
        side: of a folder, whose images may then be of any sizes: each is resized to this.

    Raises:
        ValueError: nothing there, unreadable, or not such images; one line.
    """
    if isinstance(source, np.ndarray):
        return ImageSource(_ArrayRows(source), None, f"{field}=array")
    path, place = Path(source).expanduser(), f"{field}={source}"
    if source == "":  # Path would make the current folder of it
        raise ValueError(f"{place}: is empty; give a path, . for the current folder")
    rows: Rows
    labels: np.ndarray | None = None
    listing: Listing | None = None
    with _placed(place):
        if path.is_dir():
            rows = folder = _FolderRows(path, side)
            listing = folder.listing
        elif not path.is_file():
            raise ValueError("no such file or folder; check the path")
        elif path.suffix.lower() == ".npy":
            rows = RowReader(path)
        elif path.suffix.lower() in SUFFIXES:
            raise ValueError("is a single image; give the folder of the images")
        else:
            rows, labels = _open_npz(path, need_labels)
    return ImageSource(rows, labels, place, listing)


def _open_npz(path: Path, need_labels: bool) -> tuple[RowReader, np.ndarray | None]:
    names = array_names(path)
    if IMAGES not in names:
        there = ", ".join(names) or "no arrays"
        raise ValueError(f"has no {IMAGES} but {there}; store the images as {IMAGES}")
    rows, labels = RowReader(path, IMAGES), None
    if LABELS in names:
        try:
            labels = load_array(path, LABELS)
        except ValueError:  # names of classes may be stored as Python objects
            if need_labels:
                raise
    if not need_labels and _label_problem(labels, rows.shape[0]):
        labels = None
    return rows, labels


class _ArrayRows:
    """An array in memory."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def read(self, first: int, end: int) -> np.ndarray:
        return self._array[first:end].copy(order="C")


class _FolderRows:
    """Image files of a folder, all of one size or resized to one, decoded when they are read."""

    dtype: np.dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, side: int | None) -> None:
        # A run directory holds a grid of images beside the images themselves.
        names = (path.name for path in folder.glob("*.npz"))
        if archives := sorted(name for name in names if not is_hidden(name)):
            raise ValueError(f"has {archives[0]}, no folder of images alone; give that file")
        self._folder, self.listing = folder, list_images(folder)
        self._names, self._side = self.listing.files, side
        if not self._names:
            note = self.listing.note()
            there = f" ({note})" if note else ""
            raise ValueError(
                f"no images there{there}; give a folder with {', '.join(SUFFIXES)} files"
            )
        width, height = (side, side) if side is not None else self._common_size()
        self.shape: tuple[int, ...] = (len(self._names), height, width, 3)

    def read(self, first: int, end: int) -> np.ndarray:
        images = np.empty((end - first, *self.shape[1:]), np.uint8)
        for number, name in enumerate(self._names[first:end]):
            decoded = decode_rgb(self._folder / name, name)
            if self._side is not None:
                decoded = resized(decoded, self._side)
            if decoded.shape != images.shape[1:]:
                raise ValueError(f"{name} has changed; start again")
            images[number] = decoded
        return images

    def _common_size(self) -> tuple[int, int]:
        sizes = (self._size(name) for name in self._names)
        width, height = first = next(sizes)
        for name, size in zip(self._names[1:], sizes, strict=True):
            if size != first:
                differ = f"{self._names[0]} is {width}x{height}, {name} is {size[0]}x{size[1]}"
                raise ValueError(f"{differ}; give images of one size")
        return first

    def _size(self, name: str) -> tuple[int, int]:
        with decodable(self._folder / name, name) as image:
            return upright_size(image)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Puts the field and the path in front of what is wrong."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(f"{place}: {error}") from error


def _problem(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    """What is wrong with the layout of images, if anything."""
    if dtype != np.uint8:
        written = "uint8 0..255, as written by scripts/sample.py"
        return f"images are {dtype}; give {written}"
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        return f"images are {shape}, channels first; transpose them to (N, H, W, {shape[1]})"
    if len(shape) == 3 and shape[2] == 3:
        return f"images are {shape}, a single (H, W, 3); add an axis in front"
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
        return f"images are {shape}; {LAYOUT}"
    if 0 in shape:
        return f"images are {shape}, which is empty; {LAYOUT}"
    return None


def _label_problem(labels: np.ndarray | None, count: int) -> str | None:
    """What is wrong with labels, if anything."""
    if labels is None:
        return None
    if labels.dtype.kind not in "iu":
        return f"{LABELS} is {labels.dtype}; give integer class labels, or leave it out"
    if labels.shape != (count,):
        return f"{LABELS} is {labels.shape} for {count} images; give one label per image"
    return None
