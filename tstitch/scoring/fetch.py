"""Files that an evaluation needs: local, shipped, or downloaded once."""

from collections.abc import Sequence
from pathlib import Path

from tstitch.pair.weights import RANDOM, fetch_beside, fetch_weights
from tstitch.runtime.errors import UserError


def fetch_file(source: str, field: str, companions: Sequence[str] = ()) -> Path:
    """The local path of a file given as path, URL or shipped:PATH, or of a folder of weights.

    Args:
        companions: files that a folder is wanted with, where it has them.

    Raises:
        UserError: no such file, failed download, or another digest than the shipped one.
    """
    path = fetch_weights(source, None, field)
    if path is None:
        raise UserError(f"{field}={RANDOM}: give a path, a URL or shipped:PATH")
    fetch_beside(source, companions, field)
    return path
