"""Arithmetic of one network evaluation, by torch's counter."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Of one denoiser."""

    parameters: int
    flops: int  # of one evaluation of one image, two per multiply-add


def count_flops(network: nn.Module, latent_shape: tuple[int, int, int]) -> int:
    """Floating point operations of one forward of one latent: 2 per multiply-add.

    Attention products are included. Half of it is the number of multiply-adds (MACs); the
    T-Stitch paper's "GFLOPs" are multiply-adds of the linear layers alone.

    Args:
        network: (x, t, y) -> prediction, on the meta device: nothing is computed.
        latent_shape: (C, H, W).
    """
    x = torch.zeros((1, *latent_shape), device="meta")
    t = torch.zeros((1,), device="meta")
    y = torch.zeros((1,), dtype=torch.int64, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, t, y)
    return counter.get_total_flops()
