"""The networks of a pair, in the classes of diffusers and transformers, by their settings."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from evaluation.features.image_tower import ImageTower
from tstitch.text_training.settings import (
    GROUPS,
    AutoencoderSettings,
    DenoiserSettings,
    EncoderSettings,
)

FIRST_TEMPERATURE = 0.07  # as CLIP's
MAX_SCALE = 100.0


class DualEncoder(nn.Module):
    """A text encoder and an image tower that meet in one space, and their temperature.

    Args:
        text: transformers' CLIPTextModelWithProjection.
        tower: of the same embedding width.
    """

    def __init__(self, text: Any, tower: ImageTower) -> None:
        super().__init__()
        self.text, self.tower = text, tower
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))

    def forward(self, tokens: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors float32 (N, width) of tokens (N, L) and of images (N, 3, S, S) in -1..1."""
        texts = self.text(tokens).text_embeds.float()
        found = self.tower(images).float()
        return nn.functional.normalize(texts, dim=-1), nn.functional.normalize(found, dim=-1)

    def scale(self) -> Tensor:
        """What similarities are multiplied by."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)


def build_dual_encoder(settings: EncoderSettings, tokenizer: Any) -> DualEncoder:
    """A fresh one for a tokenizer's texts."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=settings.embedding,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    text = CLIPTextModelWithProjection(config)
    return DualEncoder(text, ImageTower(settings.tower, settings.embedding, settings.patch))


def build_autoencoder(settings: AutoencoderSettings, side: int) -> Any:
    """A fresh AutoencoderKL without attention, whose scaling_factor is set once it is trained."""
    from diffusers import AutoencoderKL

    levels = len(settings.widths)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=settings.channels,
        sample_size=side,
        norm_num_groups=GROUPS,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        mid_block_add_attention=False,
    )


def build_denoiser(settings: DenoiserSettings, channels: int, side: int, text_width: int) -> Any:
    """A fresh UNet2DConditionModel for latents (channels, side, side)."""
    from diffusers import UNet2DConditionModel

    kinds = [("Cross" if crossed else "") for crossed in settings.attention]
    names = {
        "": ("DownBlock2D", "UpBlock2D"),
        "Cross": ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        cross_attention_dim=text_width,
        norm_num_groups=GROUPS,
        block_out_channels=settings.widths,
        layers_per_block=settings.layers,
        attention_head_dim=settings.heads,  # diffusers' name for the number of heads
        down_block_types=tuple(names[kind][0] for kind in kinds),
        up_block_types=tuple(names[kind][1] for kind in reversed(kinds)),
    )


def build_scheduler() -> Any:
    """Stable Diffusion's betas, with the DDIM sampler."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
