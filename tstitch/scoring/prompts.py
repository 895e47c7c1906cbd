"""What images are of, where that is a text: prompts.json of a run, or a file of the user's."""

import json
import logging
from pathlib import Path

import numpy as np

from evaluation.features.images import ImageSource
from tstitch.runtime.errors import UserError

PROMPTS_FILE = "prompts.json"  # beside samples.npz; labels are numbers of its texts
log = logging.getLogger(__name__)


def read_prompts(path: str | Path) -> tuple[str, ...]:
    """The texts of a JSON list, or of a text file with one a line.

    Raises:
        ValueError: none, or a file that cannot be read; one line.
    """
    file = Path(path).expanduser()
    try:
        content = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            found = json.loads(content)
        else:
            found = [line.strip() for line in content.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is neither UTF-8 nor JSON"
        raise ValueError(f"cannot be read ({reason}); give a JSON list or a text file") from error
    if not isinstance(found, list) or not found or not all(isinstance(t, str) for t in found):
        raise ValueError(
            "holds no texts; give a JSON list of texts, or a text file with one a line"
        )
    return tuple(found)


def give_prompts(images: ImageSource, prompts: tuple[str, ...]) -> None:
    """Notes the texts that the labels are numbers of; without labels, one text per image in order.

    Raises:
        ValueError: labels that are no numbers of texts, or another number of images; one line.
    """
    if images.labels is None:
        if len(prompts) != len(images):
            raise ValueError(
                f"holds {len(prompts)} texts for {len(images)} images without labels; give one per "
                "image, or an npz with arr_1"
            )
        images.labels = np.arange(len(images))
    strange = (images.labels < 0) | (images.labels >= len(prompts))
    if strange.any():
        raise ValueError(
            f"holds {len(prompts)} texts, image {int(strange.argmax())} is of text "
            f"{images.labels[strange.argmax()]}; give the file of these images"
        )
    images.prompts = prompts


def take_prompts(images: ImageSource, path: str, field: str) -> None:
    """Gives images the texts of a file that the user names.

    Raises:
        UserError: naming the field.
    """
    try:
        give_prompts(images, read_prompts(path))
    except ValueError as error:
        raise UserError(f"{field}={path}: {error}") from error


def find_prompts(images: ImageSource, source: Path) -> None:
    """Gives images the texts of the prompts.json beside their file, if there is one that fits."""
    path = source.expanduser().parent / PROMPTS_FILE
    if images.labels is None or not source.is_file() or not path.is_file():
        return
    try:
        give_prompts(images, read_prompts(path))
    except ValueError as error:
        log.warning("%s: %s; labels are taken for classes", path, error)
