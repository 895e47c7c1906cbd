"""The kernel of attention while a U-Net is trained."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

MOST_PLACES = 1024  # of latents: beyond, plain products take too much memory


def training_attention(device: torch.device, places: int) -> AbstractContextManager[None]:
    """On a CPU plain products, whose backward over some dozen tokens is many times faster.

    Args:
        places: of the largest map that attention sees.
    """
    plain = device.type == "cpu" and places <= MOST_PLACES
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()
