"""Images to evaluate, wherever they are."""

import logging
import re
from pathlib import Path

import numpy as np

from evaluation.features.images import ImageSource, open_images
from models.download import is_remote
from tstitch.runtime.errors import errors_of
from tstitch.scoring.fetch import fetch_file
from tstitch.scoring.prompts import find_prompts, take_prompts

log = logging.getLogger(__name__)


def open_samples(
    source: str | Path | np.ndarray, field: str, prompts: str | None = None
) -> ImageSource:
    """The images of a file, a folder, a URL (downloaded once) or an array.

    Of a folder it says what was left out.

    Args:
        prompts: file of what they are of; None = the prompts.json beside them, if there is one.

    Raises:
        UserError: not such images, or prompts that do not fit them.
    """
    if isinstance(source, str) and is_remote(source):
        source = fetch_file(source, field)
    with errors_of(""):
        images = open_images(source, field)
    report_left_out(images, f"{field}={source}")
    if prompts is not None:
        take_prompts(images, prompts, "prompts")
    elif not isinstance(source, np.ndarray):
        find_prompts(images, Path(source))
    return images


def report_left_out(images: ImageSource | None, place: str) -> None:
    """Says in one line which files of a folder are no images of the set, if there are any."""
    note = None if images is None or images.listing is None else images.listing.note()
    if note is not None:
        log.warning("%s: %s", place, note)


def report_pairing(images: ImageSource, others: ImageSource) -> None:
    """Says in one line if two folders of equal size are paired though their names differ."""
    if images.listing is None or others.listing is None:
        return
    for name, other in zip(images.listing.files, others.listing.files, strict=True):
        if numbers_of(name) != numbers_of(other):
            log.warning(
                "samples and baseline are paired by position in natural order (2.png before "
                "10.png), and their names differ: %s with %s; check that these belong together",
                name,
                other,
            )
            return


def numbers_of(name: str) -> list[int] | str:
    """The whole numbers in a file's name, by value; the name without its suffix if it has none."""
    stem = name.rsplit(".", 1)[0]
    return [int(number) for number in re.findall(r"[0-9]+", stem)] or stem
