"""Images between spaces and files: levels of grey or colour, and checks of batches."""

from collections.abc import Mapping

import torch
from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """Images (N,C,H,W), C 1 or 3, of [-1,1] as uint8 (N,H,W,3); grey is repeated."""
    levels = (127.5 * images.float() + 128).clamp(0, 255).floor().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous()


def are_finite(batch: Tensor) -> Tensor:
    """Which images of a batch (N,...) are finite, bool (N,)."""
    return torch.isfinite(batch).flatten(1).all(1)


def check_counts(counts: Mapping[str, object], otherwise: str = "") -> None:
    """Refuses values by name that are no integers of at least 1, by a ValueError."""
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name}={value}: must be an integer of at least 1{otherwise}")


def checked(name: str, batch: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """A batch (N, *shape); ValueError of any other shape."""
    if batch.ndim != 4 or batch.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{name}: must have shape (N, {wanted}), got {tuple(batch.shape)}")
    return batch
