"""The images of a run as files of their own: always those of samples.npz, no more, no fewer."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.features.image_files import decode_rgb
from evaluation.features.npz_stream import stream_rows
from tstitch.files.pictures import save_image
from tstitch.files.videos import encode_video
from tstitch.files.writing import replacing
from tstitch.run.samples import IMAGES, SAMPLES

FOLDERS = {"png": "images", "mp4": "videos"}
ROWS = 64


def export(run: Path, kind: str, frames: int = 1, fps: int = 1) -> None:
    """Makes images/INDEX.png or videos/INDEX.mp4 of a run equal to its samples.npz.

    A file that holds its image already is left as it is; a damaged one, or one of another image, is
    written again; those of more images than there are now are removed. Files of other names are
    somebody else's and stay.

    Args:
        kind: a key of FOLDERS.
        frames, fps: of a video, whose frames lie below each other in its image.

    Raises:
        OSError: not writable, or no space.
    """
    folder, index = run / FOLDERS[kind], 0
    folder.mkdir(exist_ok=True)
    for chunk in stream_rows(run / SAMPLES, IMAGES, ROWS if frames == 1 else 1):
        for image in chunk:
            path = folder / name_of(index, kind)
            if kind == "mp4":
                apart = image.reshape(frames, -1, *image.shape[1:])
                _write_bytes(path, encode_video(apart, fps))
            elif not _holds(path, image):
                save_image(Image.fromarray(image), path)
            index += 1
    _remove(folder, kind, index)


def is_exported(run: Path, kind: str) -> bool:
    """Whether images of a run were exported before."""
    return (run / FOLDERS[kind] / name_of(0, kind)).is_file()


def remove_exported(run: Path) -> None:
    """Removes what was exported, and the folders if nothing else is in them."""
    for kind, name in FOLDERS.items():
        _remove(run / name, kind, 0)


def name_of(index: int, kind: str) -> str:
    """File name of an image."""
    return f"{index:06d}.{kind}"


def _remove(folder: Path, kind: str, first: int) -> None:
    """Removes exported images from an index on."""
    if not folder.is_dir():
        return
    part = re.compile(rf"\.\d{{6,}}\.{kind}\.(?:.+-)?\d+\.tmp")  # what a killed run leaves
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            continue  # none of ours, whatever its name
        exported = re.fullmatch(rf"\d{{6,}}\.{kind}", path.name) is not None
        exported = exported and path.name == name_of(int(path.stem), kind)
        if part.fullmatch(path.name) or (exported and int(path.stem) >= first):
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _holds(path: Path, image: np.ndarray) -> bool:
    if not path.is_file():
        return False
    try:
        return np.array_equal(decode_rgb(path, path.name), image)
    except ValueError:
        return False


def _write_bytes(path: Path, content: bytes) -> None:
    if not (path.is_file() and path.read_bytes() == content):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
