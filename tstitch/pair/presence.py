"""Whether a pair can be loaded with what is on this machine; nothing is parsed or fetched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.folders import is_local
from tstitch.pair.weights import PRETRAINED, SHIPPED

PLACES = ("weights", "source", "vae", "vq")  # keys of a pair that say where files are
ELSEWHERE = ("pretrained",)  # of weights: where `source` is


def weights_here(section: Any) -> bool:
    """Whether all files that a composed `pair` section names are local.

    Random weights are none; downloads that are cached are not looked for.
    """
    places = [place for place in _places(section) if place not in ELSEWHERE]
    return bool(places) and all(map(_is_here, places))


def _places(section: Any) -> Iterator[str]:
    if isinstance(section, dict):
        for key, value in section.items():
            if key in PLACES and isinstance(value, str):
                yield value
            else:
                yield from _places(value)


def _is_here(place: str) -> bool:
    if place.startswith(SHIPPED):
        return (PRETRAINED / place.removeprefix(SHIPPED)).exists()
    return is_local(place) and Path(place).expanduser().exists()
