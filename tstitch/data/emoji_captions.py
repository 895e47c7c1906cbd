"""Emojis as images of captions: what a measure of text-to-image runs compares with."""

import json
from pathlib import Path

import torch
from torch import Tensor

from evaluation.features.captions import CaptionGrid
from tstitch.data.captioned import CaptionedImages
from tstitch.data.emoji_set import SHIPPED, TILE, emoji_set

SPLITS = ("train", "test")
SEED = 0


class EmojiCaptions:
    """Images uint8 (3, side, side) and the numbers of their captions, in an order drawn once.

    The atlases are sorted by style; the first images of this are of all styles alike.

    Args:
        folder: of atlases (tstitch.data.emoji_set); None = the shipped one.
        side: of the images.
        split: `train`, or `test` for the combinations of emoji and style that are held out.

    Attributes:
        prompts: the captions, by number.

    Raises:
        ValueError: no such folder, side or split.
    """

    def __init__(self, folder: str | None = None, side: int = TILE, split: str = "train") -> None:
        if split not in SPLITS:
            raise ValueError(f"split={split}: choose one of {', '.join(SPLITS)}")
        data: CaptionedImages = emoji_set(folder, side)
        chosen = data.training() if split == "train" else data.kept()
        order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(SEED))
        self._images = data.images[chosen[order]]
        self.prompts = tuple(data.captions[index] for index in chosen[order].tolist())

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._images[index], index


def emoji_grid(folder: str | None = None) -> CaptionGrid:
    """The captions of every emoji in every style, drawn or not.

    Args:
        folder: with emoji.json; None = the shipped one.

    Raises:
        ValueError: no such folder, or a damaged file.
    """
    root = SHIPPED if folder is None else Path(folder).expanduser()
    try:
        meta = json.loads((root / "emoji.json").read_text(encoding="utf-8"))
        return CaptionGrid(
            subjects=tuple(emoji["caption"] for emoji in meta["emoji"]),
            styles=tuple(style["words"] for style in meta["styles"]),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"folder={root}: is no set of emojis ({reason}); get it again") from error
