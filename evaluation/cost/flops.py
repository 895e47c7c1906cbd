"""Arithmetic of one network evaluation, by torch's counter."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
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
    x, t, y = one_latent(latent_shape)
    return counted(lambda: network(x, t, y))


def one_latent(latent_shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """x (1, C, H, W), t (1,) and y (1,) on the meta device."""
    x = torch.zeros((1, *latent_shape), device="meta")
    t = torch.zeros((1,), device="meta")
    return x, t, torch.zeros((1,), dtype=torch.int64, device="meta")


def counted(run: Callable[[], object]) -> int:
    """Floating point operations of a call, as `count_flops` counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()
