"""Held-out images of a pair's data, above samples of their captions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.report.sheets import draw_grid
from tstitch.data.captioned import CaptionedImages
from tstitch.files.pictures import save_image
from tstitch.text_training.cache import Cache
from tstitch.text_training.folders import FIELD, load_network
from tstitch.text_training.networks import build_scheduler
from tstitch.text_training.settings import PreviewSettings
from tstitch.training.checkpoint import writing
from tstitch.training.loop import step_generator

COLUMNS = 12
LABEL_LINES = 3
FEW_STEPS = 4
# U-Net, noise (N, C, H, W), states (N, L, width) of captions and (1, L, width) of the empty text
# -> latents (N, C, H, W).
Sampler = Callable[[Any, Tensor, Tensor, Tensor], Tensor]


def guided(settings: PreviewSettings) -> Sampler:
    """DDIM, guided."""

    def sample(unet: Any, x_t: Tensor, states: Tensor, empty: Tensor) -> Tensor:
        scheduler = build_scheduler()
        scheduler.set_timesteps(settings.steps)
        both = torch.cat([empty.expand_as(states), states])
        for t in scheduler.timesteps:
            plain, asked = unet(torch.cat([x_t, x_t]), t, both).sample.chunk(2)
            eps = plain + settings.guidance * (asked - plain)
            x_t = scheduler.step(eps, t, x_t).prev_sample
        return x_t

    return sample


def consistent(unet: Any, x_t: Tensor, states: Tensor, empty: Tensor) -> Tensor:
    """Few steps of LCM, without guidance."""
    from diffusers import LCMScheduler

    scheduler = LCMScheduler.from_config(build_scheduler().config)
    scheduler.set_timesteps(FEW_STEPS)
    generator = step_generator(0, 1, 0, x_t.device)
    for t in scheduler.timesteps:
        eps = unet(x_t, t, states).sample
        x_t = scheduler.step(eps, t, x_t, generator).prev_sample
    return x_t


@torch.no_grad()
def save_preview(
    data: CaptionedImages,
    cache: Cache,
    folders: tuple[Path, Path],
    count: int,
    sampler: Sampler,
    path: Path,
    device: torch.device,
) -> None:
    """Writes rows of real images, each above a row of samples, as a labelled grid.

    Args:
        folders: of the U-Net and of the autoencoder.
        count: of the images.
    """
    unet = load_network("UNet2DConditionModel", folders[0]).to(device)
    vae = load_network("AutoencoderKL", folders[1]).to(device)
    kept = data.kept()
    spread = np.linspace(0, len(kept) - 1, min(count, len(kept))).round()
    chosen = kept[torch.from_numpy(spread).long()]
    shape = (len(chosen), *cache.latents.shape[1:])
    noise = torch.randn(shape, generator=step_generator(0, 0, 0)).to(device)
    states, empty = cache.states[chosen].to(device), cache.states[-1:].to(device)
    x_0 = sampler(unet, noise, states, empty)
    made = vae.decode(x_0 / vae.config.scaling_factor).sample.clamp(-1, 1)
    samples = made.add(1).mul(127.5).round().byte().cpu()
    rows, labels = [], []
    for part in torch.arange(len(chosen)).split(COLUMNS):
        rows += [data.images[chosen[part]], samples[part]]
        names = [data.captions[index] for index in chosen[part]]
        labels += [*(f"real: {name}" for name in names), *names]
    images = torch.cat(rows).permute(0, 2, 3, 1).numpy()
    columns = min(COLUMNS, len(chosen))
    with writing(path.parent, FIELD):
        save_image(draw_grid(images, labels, columns, LABEL_LINES), path)
