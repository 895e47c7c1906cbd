"""Images to evaluate, wherever they are."""

from pathlib import Path

import numpy as np

from evaluation.images import ImageSource, open_images
from models.download import is_remote
from tstitch.errors import UserError
from tstitch.scoring.sources import fetch_file


def open_samples(source: str | Path | np.ndarray, field: str) -> ImageSource:
    """The images of a file, a folder, a URL (downloaded once) or an array.

    Raises:
        UserError: not such images.
    """
    if isinstance(source, str) and is_remote(source):
        source = fetch_file(source, field)
    try:
        return open_images(source, field)
    except ValueError as error:
        raise UserError(str(error)) from error
