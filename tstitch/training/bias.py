"""How far a denoiser's x_0 is off at high timesteps, and by how much too bright or too dark.

An error of the predicted noise moves x_0 by it times sigma / alpha, which on linear betas is 157
at t = 999 and 6 at t = 600, while the published objective hardly weighs such timesteps. What is
left is a common offset of the images, which the first steps of a trajectory keep.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from samplers.discrete_vp import DiscreteVP
from tstitch.data.items import Items
from tstitch.training.latents import to_float

TIMESTEPS = (999, 950, 900, 850, 800, 700, 600)
IMAGES = 500
BATCH = 100


@dataclass(frozen=True, slots=True)
class Bias:
    """Errors of the predicted x_0 at one timestep, in latent units: of pixels, 127.5 levels."""

    t: int
    bias: float  # mean over images, channels and positions
    bias_by_class: float  # root mean square over classes of the same
    error: float  # root mean square over everything


def sample_latents(dataset: Items, space: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Latents (n, C, H, W) and labels (n,) of images evenly spread over the data, at most IMAGES.

    Args:
        dataset: items are an image uint8 (C, H, W) and a label.
        space: encodes images of [-1, 1].
    """
    spread = np.linspace(0, len(dataset) - 1, min(IMAGES, len(dataset)))
    items = [dataset[int(index)] for index in spread.round()]
    images = torch.stack([image for image, _ in items])
    generator = torch.Generator(device).manual_seed(0)
    parts = [space.encode(to_float(part).to(device), generator) for part in images.split(BATCH)]
    return torch.cat(parts), torch.tensor([int(label) for _, label in items], device=device)


@torch.no_grad()
def measure_bias(network: nn.Module, process: DiscreteVP, x_0: Tensor, y: Tensor) -> list[Bias]:
    """Errors of a denoiser's x_0 at TIMESTEPS, with the same noise at each.

    Args:
        network: (x_t, t, y) -> noise, and variance logits in further channels.
        process: that it is trained on, of 1,000 timesteps.
        x_0: latents (N, C, H, W).
        y: labels (N,).
    """
    generator = torch.Generator(x_0.device).manual_seed(0)
    eps = torch.randn(x_0.shape, generator=generator, device=x_0.device)
    found = []
    for t, alpha_bar in zip(TIMESTEPS, process.alphas_cumprod[list(TIMESTEPS)], strict=True):
        x_t = alpha_bar**0.5 * x_0 + (1 - alpha_bar) ** 0.5 * eps
        parts = [
            network(x, torch.full((len(x),), t, device=x.device), labels)[:, : x_0.shape[1]]
            for x, labels in zip(x_t.split(BATCH), y.split(BATCH), strict=True)
        ]
        wrong = (eps - torch.cat(parts).float()) * (1 / alpha_bar - 1) ** 0.5
        means = wrong.mean(dim=(1, 2, 3))
        by_class = torch.stack([means[y == label].mean() for label in y.unique()])
        spread, error = (v.square().mean().sqrt().item() for v in (by_class, wrong))
        found.append(Bias(t, means.mean().item(), bias_by_class=spread, error=error))
    return found
