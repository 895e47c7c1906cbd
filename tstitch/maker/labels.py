"""The class label of each image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from samplers.randomness import PerImageRandomness


def choose_labels(
    classes: str | Sequence[int], indices: Sequence[int], *, seed: int, num_classes: int
) -> Tensor:
    """Labels (N,) int64 of images, a function of (seed, index) alone.

    Args:
        classes: `random` (uniform, from the image's label stream), `balanced` (index modulo
            num_classes), or a list that is repeated.
        indices: the images' indices.
    """
    if classes == "random":
        return PerImageRandomness(seed, indices, ()).labels(num_classes)
    cycle = range(num_classes) if classes == "balanced" else classes
    return torch.tensor([cycle[i % len(cycle)] for i in indices], dtype=torch.int64)
