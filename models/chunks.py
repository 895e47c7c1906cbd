"""How many images go through an autoencoder at once."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

SHARE = 4  # a quarter of a GPU's memory at most: the denoisers have the rest
MOST = 64
TENSORS = 6  # of the largest activation at a time: inputs, outputs, a workspace
T = TypeVar("T")
log = logging.getLogger(__name__)


def images_at_once(widths: list[int], side: int, itemsize: int, memory: int) -> int:
    """A power of two, from what a GPU has in all: what is free at the moment would make other
    chunks, and so other bits, of a run that goes on another day.

    Args:
        widths: channels by level, full resolution first (block_out_channels).
        side: of the images.
        itemsize: bytes of a number.
        memory: bytes of the device.
    """
    entering = [*widths[1:], widths[-1]]  # a level's first block still has the next one's channels
    largest = max(n * (side >> level) ** 2 for level, n in enumerate(entering))
    fitting = memory // SHARE // (TENSORS * itemsize * largest)
    return min(MOST, 1 << max(0, fitting.bit_length() - 1))


def in_chunks(function: Callable[[Tensor], T], batch: Tensor, size: int) -> tuple[list[T], int]:
    """The function over parts of a batch; of half the size where memory is short, which is said.

    Args:
        size: images at once.

    Returns:
        The parts' results in order, and the size that went through.

    Raises:
        torch.OutOfMemoryError: not even one image at a time.
    """
    while True:
        try:
            return [function(part) for part in batch.split(size)], size
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        size //= 2
        torch.cuda.empty_cache()
        log.warning(
            "pair.space.chunk: memory is short; from here on %d images at once, which can change "
            "images in their last bits",
            size,
        )
