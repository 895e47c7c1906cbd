"""The images of a run as PNG files: always those of samples.npz, no more, no fewer."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.features.image_files import decode_rgb
from evaluation.features.npz_stream import stream_rows
from tstitch.files.pictures import save_image
from tstitch.run.samples import IMAGES, SAMPLES

FOLDER = "images"
NAME = re.compile(r"\d{6,}\.png")
PART = re.compile(r"\.\d{6,}\.png\.\d+\.tmp")  # what a killed run leaves
ROWS = 64


def export_images(run: Path) -> None:
    """Makes images/INDEX.png of a run equal to its samples.npz.

    A file that holds its image already is left as it is; a damaged one, or one of another image, is
    written again; those of more images than there are now are removed. Files of other names are
    somebody else's and stay.

    Raises:
        OSError: not writable, or no space.
    """
    folder, index = run / FOLDER, 0
    folder.mkdir(exist_ok=True)
    for chunk in stream_rows(run / SAMPLES, IMAGES, ROWS):
        for image in chunk:
            path = folder / name_of(index)
            if not _holds(path, image):
                save_image(Image.fromarray(image), path)
            index += 1
    remove_exported(run, index)


def has_exported(run: Path) -> bool:
    """Whether images of a run were exported before."""
    return (run / FOLDER / name_of(0)).is_file()


def remove_exported(run: Path, first: int = 0) -> None:
    """Removes exported images from an index on, and the folder if nothing else is in it."""
    folder = run / FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            continue  # none of ours, whatever its name
        exported = NAME.fullmatch(path.name) and path.name == name_of(int(path.stem))
        if PART.fullmatch(path.name) or (exported and int(path.stem) >= first):
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def name_of(index: int) -> str:
    """File name of an image."""
    return f"{index:06d}.png"


def _holds(path: Path, image: np.ndarray) -> bool:
    if not path.is_file():
        return False
    try:
        return np.array_equal(decode_rgb(path, path.name), image)
    except ValueError:
        return False
