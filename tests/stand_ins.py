"""Small networks of others' kinds, for tests and for what is recorded for them."""

import math
from pathlib import Path

import torch


def fill(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """A DiT that predicts about its input.

    Weights that are only random predict about nothing: every pixel of such images is black or
    white, and small differences do not show.
    """
    generator = torch.Generator().manual_seed(seed)
    patches, out = network.x_embedder.proj.weight, network.final_layer.linear.weight
    width, pixels = len(patches), patches[0].numel()
    one, back = torch.eye(pixels), math.sqrt(2 * pixels / width) / 2 * torch.eye(pixels)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.02, generator=generator)
        # Each pixel goes in twice, with both signs, and comes back normalised.
        patches.view(width, pixels)[: 2 * pixels] = torch.cat([8 * one, -8 * one])
        patches.view(width, pixels)[2 * pixels :] = 0
        out.view(pixels, 2, width)[:, 0, : 2 * pixels] += torch.cat([back, -back], 1)
    return network


def save_vae(folder: Path, *, latent_channels: int = 4, levels: int = 2, seed: int = 0) -> Path:
    """Saves a random AutoencoderKL that reduces images 2 ** (levels - 1) times."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoencoderKL(
            block_out_channels=(8,) * levels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            latent_channels=latent_channels,
            norm_num_groups=4,
        )
        network.save_pretrained(folder)
    return folder
