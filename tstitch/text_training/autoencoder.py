"""Stage `vae`: images to latents and back (latent diffusion, arXiv 2112.10752, Sec. 3.1)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tstitch.data.captioned import CaptionedImages
from tstitch.text_training.settings import AutoencoderSettings
from tstitch.training.latents import to_float

MEASURED = 256  # held-out images
SCALED = 1024  # training images whose latents get a standard deviation of 1
BATCH = 64


class ReconstructionLoss:
    """Absolute and square error of pixels and of their edges, a little KL divergence.

    Latents' channel means are held at 0: pipelines of Stable Diffusion know a scale, no shift.
    """

    def __init__(self, data: CaptionedImages, settings: AutoencoderSettings) -> None:
        self._data, self._settings = data, settings

    def __call__(self, network: Any, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = to_float(self._data.images[indices.cpu()]).to(indices.device)
        posterior = network.encode(images).latent_dist
        latents = posterior.mean + posterior.std * torch.randn(
            posterior.mean.shape, generator=generator, device=generator.device
        )
        made = network.decode(latents).sample.float()
        loss = F.l1_loss(made, images) + F.mse_loss(made, images)
        edges = zip(_edges(made), _edges(images), strict=True)
        loss = loss + self._settings.edge_weight * sum(F.l1_loss(*pair) for pair in edges)
        divergence = posterior.kl().float().mean() / latents[0].numel()
        means = latents.float().mean((0, 2, 3)).square().sum()
        return loss + self._settings.kl_weight * divergence + self._settings.mean_weight * means


def _edges(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.diff(dim=2), images.diff(dim=3)


class Fidelity:
    """Peak signal-to-noise ratio of held-out images, and what their latents are like."""

    def __init__(self, data: CaptionedImages, device: torch.device) -> None:
        self._images, self._device = data.images[data.kept()[:MEASURED]], device

    def __call__(self, network: Any) -> dict[str, float]:
        errors, latents = [], []
        for part in self._images.split(BATCH):
            images = to_float(part).to(self._device)
            mean = network.encode(images).latent_dist.mean
            made = network.decode(mean).sample.clamp(-1, 1)
            errors.append((made - images).square().mean((1, 2, 3)) / 4)
            latents.append(mean)
        error, found = torch.cat(errors), torch.cat(latents)
        return {
            "psnr": -10 * math.log10(error.mean().item()),
            "psnr_mean": (-10 * error.log10()).mean().item(),
            "latent_std": found.std().item(),
            "largest_channel_mean": found.mean((0, 2, 3)).abs().max().item(),
        }


@torch.no_grad()
def latent_scale(network: Any, images: Tensor, device: torch.device) -> float:
    """The factor that gives latents of uint8 images (N, 3, S, S) a standard deviation of 1."""
    parts = [
        network.encode(to_float(part).to(device)).latent_dist.mean
        for part in images[:SCALED].split(BATCH)
    ]
    return 1.0 / torch.cat(parts).std().item()
