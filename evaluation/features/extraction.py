"""Features of images, batch by batch: the images are never all in memory."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Images(Protocol):
    """Random access to images of one size, as evaluation.features.images.ImageSource has it."""

    height: int
    width: int

    @property
    def labels(self) -> np.ndarray | None:
        """int64 (N,) class or prompt of each image, negative where it is unknown."""

    @property
    def prompts(self) -> tuple[str, ...] | None:
        """Texts that the labels are numbers of; None = labels are classes."""

    def __len__(self) -> int: ...

    def read(self, first: int, end: int) -> np.ndarray:
        """Images first..end-1, uint8 (n, H, W, 3)."""


@torch.inference_mode()
def extract(
    extractor: Callable[[Tensor], dict[str, Tensor]],
    images: Images,
    indices: range,
    batch_size: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """Features of consecutive images: the extractor's dict for all of them, on the CPU.

    Args:
        extractor: uint8 (n, 3, H, W) -> dict of (n, ...) tensors, on the device.
        indices: which images; batches are cut from it, so features do not depend on the others.
        batch_size: images at once.
    """
    parts = []
    for first in range(indices.start, indices.stop, batch_size):
        pixels = images.read(first, min(first + batch_size, indices.stop))
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
        parts.append({name: value.cpu() for name, value in extractor(tensor).items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
