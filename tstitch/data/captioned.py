"""Images with captions, for what learns from text."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class CaptionedImages:
    """Images of subjects in styles, each with a caption.

    Args:
        images: uint8 (N, 3, S, S).
        captions: of each image.
        subjects: int64 (N,), what is shown: captions of one subject differ in style alone.
        styles: int64 (N,), indices of style_names.
        style_names: as captions have them.
        held_out: bool (N,), images that nothing learns from.

    Raises:
        ValueError: parts that do not fit each other.
    """

    images: Tensor
    captions: tuple[str, ...]
    subjects: Tensor
    styles: Tensor
    style_names: tuple[str, ...]
    held_out: Tensor

    def __post_init__(self) -> None:
        shape, count = tuple(self.images.shape), len(self.captions)
        square = len(shape) == 4 and shape[1] == 3 and shape[2] == shape[3]
        if not square or self.images.dtype != torch.uint8:
            raise ValueError(f"images: are {self.images.dtype} {shape}; give uint8 (N, 3, S, S)")
        for name in ("images", "subjects", "styles", "held_out"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name}: has {len(getattr(self, name))} for {count} captions")
        if self.held_out.all() or not self.held_out.any():
            raise ValueError("held_out: leaves nothing to learn from or to measure with")

    @property
    def side(self) -> int:
        """S, in pixels."""
        return self.images.shape[-1]

    def training(self) -> Tensor:
        """Indices int64 of the images to learn from."""
        return (~self.held_out).nonzero()[:, 0]

    def kept(self) -> Tensor:
        """Indices int64 of the images that are held out."""
        return self.held_out.nonzero()[:, 0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, captions and split."""
        digest = hashlib.sha256("\n".join(self.captions).encode())
        for tensor in (self.images, self.subjects, self.styles, self.held_out):
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()
