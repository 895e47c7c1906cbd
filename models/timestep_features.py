"""What diffusion transformers see of a timestep: cosines and sines of it."""

import math

import torch
from torch import Tensor


def timestep_features(t: Tensor, channels: int) -> Tensor:
    """Cosines, then sines, of t times frequencies from 1 down to almost 1/10,000.

    Args:
        t: timesteps (N,), fractional values allowed.
        channels: even.

    Returns:
        (N, channels) float32, whatever the dtype of t.
    """
    half = channels // 2
    index = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(10000.0) / half * index)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
