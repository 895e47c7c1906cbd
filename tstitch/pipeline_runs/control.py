"""Images for a ControlNet, from a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tstitch.pipeline_runs.section import ControlSection
from tstitch.runtime.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def image_files(control: ControlSection) -> list[Path]:
    """The images of the folder, in the order of their names.

    Raises:
        UserError: no folder, or none in it.
    """
    if control.images is None:
        raise UserError(
            "pair.control.images=null: give a folder of edges, depths or poses, one for each prompt"
        )
    folder = Path(control.images).expanduser()
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in ENDINGS)
    if not files:
        reason = "holds no images" if folder.is_dir() else "no such folder"
        raise UserError(f"pair.control.images={control.images}: {reason} ({', '.join(ENDINGS)})")
    return files


def control_images(
    control: ControlSection, labels: Sequence[int], size: tuple[int, int]
) -> list[Any]:
    """One for each label: that of prompt k is file k, counted round.

    Args:
        size: width and height that they are brought to.

    Raises:
        UserError: a file that is no image.
    """
    files = image_files(control)
    return [_read(files[label % len(files)], size) for label in labels]


def _read(path: Path, size: tuple[int, int]) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except OSError as error:
        raise UserError(f"pair.control.images: {path} is no image; remove it") from error
