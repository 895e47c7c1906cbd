"""Held-out images of a pair's data, above samples of their captions."""

from pathlib import Path

import numpy as np
import torch

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


@torch.no_grad()
def save_preview(
    data: CaptionedImages,
    cache: Cache,
    folders: tuple[Path, Path],
    settings: PreviewSettings,
    path: Path,
    device: torch.device,
) -> None:
    """Writes rows of real images, each above a row of samples, as a labelled grid.

    Args:
        folders: of the U-Net and of the autoencoder.
    """
    unet = load_network("UNet2DConditionModel", folders[0]).to(device)
    vae = load_network("AutoencoderKL", folders[1]).to(device)
    kept = data.kept()
    spread = np.linspace(0, len(kept) - 1, min(settings.images, len(kept))).round()
    chosen = kept[torch.from_numpy(spread).long()]
    scheduler = build_scheduler()
    scheduler.set_timesteps(settings.steps)
    shape = (len(chosen), *cache.latents.shape[1:])
    x_t = torch.randn(shape, generator=step_generator(0, 0, 0)).to(device)
    empty = cache.states[-1:].expand(len(chosen), -1, -1)
    states = torch.cat([empty, cache.states[chosen]]).to(device)
    for t in scheduler.timesteps:
        plain, asked = unet(torch.cat([x_t, x_t]), t, states).sample.chunk(2)
        x_t = scheduler.step(plain + settings.guidance * (asked - plain), t, x_t).prev_sample
    made = vae.decode(x_t / vae.config.scaling_factor).sample.clamp(-1, 1)
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
