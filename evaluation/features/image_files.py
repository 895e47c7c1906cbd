"""Image files of a folder: which of them count, in which order, and how they are decoded.

One rule for samples, references and training data.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
# Folders that archivers and file servers fill with small copies of what lies beside them.
COPIES = ("__MACOSX", "@eaDir")
# Other modes of Pillow have 16 or 32 bits per channel, which would be cut off silently.
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
TRANSPARENT = ("RGBA", "RGBa", "LA", "La", "PA")
# Formats of which a second image is no other one, but a camera's preview.
WITH_PREVIEW = ("JPEG", "MPO")
# EXIF's number of how a camera was held, where that was not upright.
TURNED = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
    6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip
ORIENTATION = 0x0112
HIDDEN, BROKEN, UNSUPPORTED = "hidden", "broken links", "no images"
TWICE = "links to what is listed already"


@dataclass(frozen=True, slots=True)
class Listing:
    """The image files of a folder, and what else lies in it.

    Attributes:
        folder: as it was given.
        files: paths below the folder with `/`, in natural order: 2.png before 10.png.
        folders: the folders directly below it that count, in alphabetical order, empty or not.
        left_out: (path, why) of every other file.
    """

    folder: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def note(self) -> str | None:
        """One line on what was left out, with an example of each kind; None if nothing was."""
        if not self.left_out:
            return None
        counts = Counter(why for _, why in self.left_out)
        examples = {why: path for path, why in reversed(self.left_out)}
        parts = [f"{count} {why} ({examples[why]})" for why, count in counts.items()]
        total = len(self.files) + len(self.left_out)
        return f"{len(self.left_out)} of {total} files are left out: {', '.join(parts)}"


def list_images(folder: Path) -> Listing:
    """Image files below a folder, at any depth.

    Left out are hidden ones (any part below the folder begins with a dot, or is one of `COPIES`),
    files with other suffixes than `SUFFIXES`, in any case, broken links, and links to a file or
    folder that is listed already. Other links are followed.

    Raises:
        OSError: the folder cannot be read.
    """
    root = Path(os.path.realpath(folder))
    os.scandir(root).close()
    files: list[str] = []
    left_out: list[tuple[str, str]] = []
    links: list[tuple[str, Path]] = []
    for path, entry, hidden in _walk(root, root, "", (), False):
        why = _unfit(entry, hidden)
        if why is not None:
            left_out.append((path, why))
        elif entry.is_symlink():
            links.append((path, Path(os.path.realpath(entry.path))))
        else:
            files.append(path)
    own = set(files)
    for path, target in links:
        twice = target.is_relative_to(root) and target.relative_to(root).as_posix() in own
        if twice:
            left_out.append((path, TWICE))
        else:
            files.append(path)
    with os.scandir(root) as entries:
        names = [e.name for e in entries if _is_folder(e) and not is_hidden(e.name)]
    return Listing(
        folder, tuple(sorted(files, key=natural)), tuple(sorted(names)), tuple(sorted(left_out))
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out with all that is in it."""
    return name.startswith(".") or name in COPIES


def natural(path: str) -> tuple[Any, ...]:
    """Sort key in which numbers count by value: 2.png comes before 10.png."""
    parts = []
    for part in path.split("/"):
        pieces = re.split(r"([0-9]+)", part)
        parts.append(tuple((int(p), "") if i % 2 else (-1, p) for i, p in enumerate(pieces)))
    return (tuple(parts), path)


def decode_rgb(path: Path, name: str) -> np.ndarray:
    """An image file as uint8 (H, W, 3), RGB.

    Grey is repeated, palettes become their colours, 16 bits per colour channel are rounded down to
    8, what is transparent is laid over white, and photographs are turned upright as their EXIF data
    say.

    Raises:
        ValueError: not decodable, cut short, 16-bit grey or floating point, or several images; one
            line that begins with the name.
    """
    from PIL import Image

    with decodable(path, name) as image:
        turn = _turn(image)  # before the pixels are read, as for the size
        if turn is not None:
            image = image.transpose(Image.Transpose[turn])
        if image.mode in TRANSPARENT or "transparency" in image.info:
            colours = image.convert("RGBA")
            white = Image.new("RGBA", colours.size, "white")
            return np.asarray(Image.alpha_composite(white, colours).convert("RGB"))
        return np.asarray(image.convert("RGB"))


def upright_size(image: Any) -> tuple[int, int]:
    """Width and height that `decode_rgb` gives a Pillow image, whose pixels are not yet read."""
    width, height = image.size
    turned = _turn(image) in ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    return (height, width) if turned else (width, height)


def _turn(image: Any) -> str | None:
    """How to turn an image upright; None if it is, or nobody can tell."""
    if image.format == "TIFF" or "exif" not in image.info:  # Pillow turns a TIFF by itself
        return None
    try:
        return TURNED.get(image.getexif().get(ORIENTATION))
    except Exception:  # damaged EXIF data; the pixels may be whole
        return None


@contextmanager
def decodable(path: Path, name: str) -> Iterator[Any]:
    """The Pillow image of a file, its pixels not yet read; to be decoded within the block.

    Raises:
        ValueError: as `decode_rgb`.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in MODES:
                raise _Unfit(f"has not 8 bits per channel (mode {image.mode}); convert it to RGB")
            count = 1 if image.format in WITH_PREVIEW else getattr(image, "n_frames", 1)
            if count > 1:
                raise _Unfit(f"holds {count} images; save each as a file of its own")
            yield image
    except _Unfit as error:
        raise ValueError(f"{name} {error}") from error
    except Exception as error:  # damaged files raise nearly anything in Pillow
        empty = path.is_file() and not path.stat().st_size
        reason = " ".join(str(error).replace(str(path), path.name).split())[:200]
        reason = "is empty" if empty else f"cannot be read ({reason or type(error).__name__})"
        raise ValueError(f"{name} {reason}; replace or remove it") from error


class _Unfit(ValueError):
    """A whole image of a kind that is not taken."""


def _walk(
    folder: Path, root: Path, prefix: str, above: tuple[str, ...], hidden: bool
) -> Iterator[tuple[str, os.DirEntry[str], bool]]:
    """Every entry below a folder that is no folder to enter, and whether a part is hidden."""
    above = (*above, os.path.realpath(folder))
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        if hidden:
            return
        raise
    for entry in found:
        path, concealed = prefix + entry.name, hidden or is_hidden(entry.name)
        if not _is_folder(entry) or (entry.is_symlink() and _known(entry, root, above, concealed)):
            yield path, entry, concealed
        else:
            yield from _walk(Path(entry.path), root, f"{path}/", above, concealed)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; entry.is_dir() raises for a link to itself."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _known(entry: os.DirEntry[str], root: Path, above: tuple[str, ...], concealed: bool) -> bool:
    """Whether a link to a folder leads to what is listed anyway, or in a circle."""
    target = Path(os.path.realpath(entry.path))
    if concealed or str(target) in above:
        return True
    return target.is_relative_to(root) and not any(map(is_hidden, target.relative_to(root).parts))


def _unfit(entry: os.DirEntry[str], hidden: bool) -> str | None:
    """Why an entry does not count, if it does not."""
    if hidden:
        return HIDDEN
    if entry.is_symlink() and not os.path.exists(entry.path):
        return BROKEN
    if _is_folder(entry):
        return TWICE
    if not entry.is_file() or os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
        return UNSUPPORTED
    return None
