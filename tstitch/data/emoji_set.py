"""Emojis in several styles with captions: the atlases of tstitch/data/emoji/."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from tstitch.data.captioned import CaptionedImages

SHIPPED = Path(__file__).parent / "emoji"
TILE = 64  # side in the atlases
T = TypeVar("T")


def emoji_set(folder: str | None = None, side: int = TILE) -> CaptionedImages:
    """All images of a folder of atlases, captioned `NAME, STYLE style`.

    Args:
        folder: with emoji.json and emoji64_STYLE.webp; None = the shipped one.
        side: of the images; smaller ones are box averages.

    Raises:
        ValueError: no such folder, damaged files, or a side that does not divide 64.
    """
    if type(side) is not int or side < 1 or TILE % side:
        raise ValueError(f"side={side}: choose one of {', '.join(map(str, _sides()))}")
    return _reading(folder, lambda root, meta: _read(root, meta, side))


def emoji_subgroups(folder: str | None = None) -> tuple[str, ...]:
    """Unicode's subgroup of each subject of `emoji_set`, such as `animal-bird`.

    Raises:
        ValueError: no such folder, or damaged files.
    """
    return _reading(folder, lambda _, meta: tuple(str(one["subgroup"]) for one in meta["emoji"]))


def _reading(folder: str | None, read: Callable[[Path, dict[str, Any]], T]) -> T:
    """What a function makes of a folder and its emoji.json."""
    if folder is not None and not (isinstance(folder, str) and folder):
        raise ValueError(f"folder={folder!r}: give the path of a folder, as a text")
    root = SHIPPED if folder is None else Path(folder).expanduser()
    try:
        return read(root, json.loads((root / "emoji.json").read_text(encoding="utf-8")))
    except OSError as error:  # of Pillow too, for a file that is no image
        reason = error.strerror or " ".join(str(error).split())
        raise ValueError(f"folder={root}: cannot be read ({reason}); check the folder") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"folder={root}: is no set of emojis ({reason}); get it again") from error


def _read(root: Path, meta: dict[str, Any], side: int) -> CaptionedImages:
    styles, subjects, split = (np.array(meta[key]) for key in ("style", "item", "split"))
    images = np.empty((len(styles), 3, side, side), np.uint8)
    for number, style in enumerate(meta["styles"]):
        chosen = styles == number
        images[chosen] = _tiles(root / f"emoji64_{style['key']}.webp", chosen.sum(), side)
    names = tuple(style["words"] for style in meta["styles"])
    captions = tuple(
        f"{meta['emoji'][subject]['caption']}, {names[style]} style"
        for subject, style in zip(subjects, styles, strict=True)
    )
    return CaptionedImages(
        images=torch.from_numpy(images),
        captions=captions,
        subjects=torch.from_numpy(subjects.astype(np.int64)),
        styles=torch.from_numpy(styles.astype(np.int64)),
        style_names=names,
        held_out=torch.from_numpy(split == 1),
    )


def _tiles(path: Path, count: int, side: int) -> np.ndarray:
    """The first tiles of an atlas, uint8 (count, 3, side, side)."""
    from PIL import Image

    with Image.open(path) as opened:
        atlas = np.asarray(opened.convert("RGB"))
    rows, columns = atlas.shape[0] // TILE, atlas.shape[1] // TILE
    if rows * columns < count:
        raise ValueError(f"{path.name} has {rows * columns} tiles for {count} images")
    tiles = atlas[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, 3)
    tiles = tiles.transpose(0, 2, 4, 1, 3).reshape(-1, 3, TILE, TILE)[:count]
    if side == TILE:
        return tiles
    block = TILE // side
    means = tiles.reshape(count, 3, side, block, side, block).mean((3, 5))
    return np.floor(means + 0.5).astype(np.uint8)


def _sides() -> list[int]:
    return [side for side in range(1, TILE + 1) if TILE % side == 0]
