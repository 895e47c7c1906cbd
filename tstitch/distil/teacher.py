"""The teacher: a folder or hub name in diffusers' format, and what its captions mean to it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import CheckpointError, load_weights
from models.condition import read_prompts
from models.diffusers_denoiser import TEXT, DiffusersDenoiser
from models.folders import (
    fetch_folder,
    folder_digest,
    is_local,
    local_folder,
    read_config,
    read_scheduler,
)
from models.spaces import VAESpace
from models.text_encoder import ClipText
from models.unet_split import check_splits
from samplers import DiscreteVP
from tstitch.data.captioned import CaptionedImages
from tstitch.distil.process import process_of
from tstitch.runtime.errors import UserError, errors_of
from tstitch.training.latents import to_float

FIELD = "distil.teacher"
LARGEST_TABLE = 16e9  # bytes of the captions' states in memory
MEASURED, BATCH = 256, 32  # images whose latents are looked at
NEAR_ZERO, NEAR_ONE = 0.1, 0.15
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Teacher:
    """What the folder says, before its weights are read.

    Args:
        source: folder of a pipeline, shipped:FOLDER, or hub name.
        process: of noise, that its U-Net was trained on.
        config: of its U-Net.
        scheduler: content of its scheduler_config.json.
    """

    source: str
    process: DiscreteVP
    config: dict[str, Any]
    scheduler: dict[str, Any]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the latents."""
        side = self.config["sample_size"]
        return self.config["in_channels"], side, side

    def unet(self) -> Any:
        """Its U-Net with weights, float32 on the CPU, frozen.

        Raises:
            UserError: weights that are not there or do not fit.
        """
        with errors_of(f"{FIELD}="):
            found = _denoiser(self.source)
        with errors_of(f"{FIELD}: ", CheckpointError), errors_of(f"{FIELD}="):
            load_weights(found.as_saved, self._unet_folder())
        return found.network.eval().requires_grad_(False)

    def digest(self) -> str:
        """SHA-256 of the U-Net's files."""
        with errors_of(f"{FIELD}="):
            return folder_digest(self._unet_folder())

    def space(self, device: torch.device) -> VAESpace:
        """Its latents, loaded.

        Raises:
            UserError: no autoencoder that fits.
        """
        channels, side, _ = self.latent_shape
        with errors_of(f"{FIELD}={self.source}: "):
            place = str(local_folder(self.source) / "vae")
            if not is_local(self.source):
                place = str(fetch_folder(f"{self.source}/vae"))
            return VAESpace(place, side, channels).to(device).load()

    def states(self, captions: Sequence[str], device: torch.device) -> Tensor:
        """What captions mean to the U-Net, float32 (N + 1, L, width) on the host.

        The last row is of the empty text.

        Raises:
            UserError: no text encoder that fits, or more than fits into memory.
        """
        with errors_of(f"{FIELD}={self.source}: "):
            encoder = ClipText(self.source)
            width, given = self.config["cross_attention_dim"], encoder.widths[TEXT]
            if given != width:
                raise ValueError(
                    f"its U-Net takes texts of width {width}, its text_encoder gives {given}; give "
                    "the folder of one pipeline"
                )
            found = encoder.encode(captions[:1], device)[TEXT]
            if (size := found.nbytes * len(captions)) > LARGEST_TABLE:
                raise UserError(
                    f"distil.captions: the states of {len(captions)} captions take "
                    f"{size / 1e9:.0f} GB of memory; give fewer than "
                    f"{LARGEST_TABLE / found.nbytes:.0f}"
                )
            return encoder.encode([*captions, ""], device)[TEXT].cpu()

    def _unet_folder(self) -> Path:
        return fetch_folder(_unet(self.source))


def read_teacher(source: str) -> Teacher:
    """Checks a teacher without its weights.

    Raises:
        UserError: no such folder, no U-Net of texts in it, or one of another prediction.
    """
    with errors_of(f"{FIELD}="):
        with torch.device("meta"):
            found = _denoiser(source)
        scheduler = read_scheduler(_unet(source))
    with errors_of(f"{FIELD}={source}: "):
        if scheduler is None:
            raise ValueError("has no scheduler/scheduler_config.json; give a pipeline's folder")
        if found.conditioning != "text" or list(found.text_widths) != [TEXT]:
            raise ValueError("its U-Net takes more or less than texts; choose one of them alone")
        if found.prediction != "eps":
            raise ValueError(f"its U-Net predicts {found.prediction}; choose one that predicts eps")
        check_splits(found.network)
        process = process_of(scheduler)
    return Teacher(source, process, dict(found.network.config), scheduler)


def _unet(source: str) -> str:
    return f"{source.rstrip('/')}/unet"


def _denoiser(source: str) -> DiffusersDenoiser:
    """The U-Net as its own config.json describes it.

    Raises:
        ValueError: as its `source=` says, with the name `source` left out.
    """
    config = read_config(_unet(source))
    side, channels = config.get("sample_size"), config.get("in_channels")
    if not isinstance(side, int) or not isinstance(channels, int):
        raise ValueError(f"{_unet(source)}: its config.json has no sample_size and in_channels")
    try:
        return DiffusersDenoiser(source=_unet(source), input_size=side, in_channels=channels)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("source=")) from error


def read_captions(path: str | None, data: Any) -> tuple[str, ...]:
    """The texts to learn from: those of a file, else of the data's training images.

    Raises:
        UserError: a file that cannot be read, or without texts.
    """
    if path is not None:
        with errors_of(f"distil.captions={path}: "):
            return read_prompts(path)
    captions: tuple[str, ...] = tuple(data.captions[index] for index in data.training().tolist())
    return captions


@torch.no_grad()
def check_latents(data: CaptionedImages, space: VAESpace) -> tuple[float, float]:
    """Mean and standard deviation of the data's latents, and a warning where they are not 0 and 1.

    The divergence of the decoders' noises holds what they add up to near that.
    """
    images = data.images[data.training()[:MEASURED]]
    if images.shape[-1] != space.image_size:
        log.info("latents: not looked at, the images are of another size")
        return 0.0, 1.0
    parts = [space.scaled(space.encode_moments(to_float(p))[0]) for p in images.split(BATCH)]
    latents = torch.cat(parts)
    mean, std = latents.mean().item(), latents.std().item()
    largest = latents.mean((0, 2, 3)).abs().max().item()
    text = f"latents of {len(images)} images: mean {mean:.3f}, std {std:.3f}"
    if abs(mean) > NEAR_ZERO or abs(std - 1) > NEAR_ONE:
        log.warning("%s; distil.kl.weight presumes 0 and 1", text)
    else:
        log.info("%s, largest mean of a channel %.3f", text, largest)
    return mean, std


def scheduler_text(teacher: Teacher) -> str:
    """scheduler_config.json, as it is kept beside a student."""
    return json.dumps(teacher.scheduler, indent=2) + "\n"
