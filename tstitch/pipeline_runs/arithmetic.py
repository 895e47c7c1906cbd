"""Shapes of latents, and the arithmetic of a pipeline's network, by its config alone."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evaluation.cost.flops import NetworkCost

Config = Mapping[str, Any]
CLIP_TOKENS, T5_TOKENS, SANA_TOKENS, WAN_TOKENS = 77, 256, 300, 512
TIME_IDS = 6  # SDXL's sizes and crops


def latent_shape(network: nn.Module, vae: Config, size: tuple[int, int, int]) -> tuple[int, ...]:
    """Of one image or video.

    Args:
        network: its in_channels are those of the latents.
        vae: config.json of the autoencoder.
        size: frames, height and width in pixels.

    Returns:
        (C, h, w), or (C, frames, h, w) for videos.

    Raises:
        ValueError: a size that is no whole number of latents.
    """
    frames, height, width = size
    factor, stride = _factors(vae)
    for name, side in (("height", height), ("width", width)):
        if side % factor:
            raise ValueError(f"{name}={side}: choose a multiple of {factor}, the size of a latent")
    if stride is not None and (frames - 1) % stride:
        raise ValueError(f"frames={frames}: choose 1 more than a multiple of {stride}")
    config: Any = network.config
    shape = (config.in_channels, height // factor, width // factor)
    if stride is None:
        return shape
    return (config.in_channels, (frames - 1) // stride + 1, *shape[1:])


def _factors(vae: Config) -> tuple[int, int | None]:
    """Pixels per latent along a side, and frames per latent of a video's autoencoder."""
    if "temperal_downsample" in vae:
        down = vae["temperal_downsample"]
        space = vae.get("scale_factor_spatial", 2 ** len(down))
        return space, vae.get("scale_factor_temporal", 2 ** sum(down))
    widths = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or [0] * 4
    return 2 ** (len(widths) - 1), None


def count_cost(network: nn.Module, shape: tuple[int, ...], given: int | None) -> NetworkCost:
    """Parameters and FLOPs of one evaluation of one image, without guidance.

    Args:
        network: on the meta device.
        shape: of a latent.
        given: FLOPs, where they are known.

    Raises:
        ValueError: a class whose inputs are not known here, or inputs that it does not take.
    """
    parameters = sum(p.numel() for p in network.parameters())
    if given is not None:
        return NetworkCost(parameters, given)
    name = type(network).__name__
    if name not in INPUTS:
        raise ValueError(f"its {name} cannot be counted (known: {', '.join(INPUTS)})")
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(**INPUTS[name](network.config, shape), return_dict=False)
    except Exception as error:
        raise ValueError(
            f"its {name} cannot be counted ({' '.join(str(error).split())})"
        ) from error
    return NetworkCost(parameters, counter.get_total_flops())


def _meta(*shape: int) -> Tensor:
    return torch.zeros(shape, device="meta")


def _unet(config: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "sample": _meta(1, *shape),
        "timestep": _meta(1),
        "encoder_hidden_states": _meta(1, CLIP_TOKENS, config.cross_attention_dim),
    }
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim
        pooled -= TIME_IDS * config.addition_time_embed_dim
        added = {"text_embeds": _meta(1, pooled), "time_ids": _meta(1, TIME_IDS)}
        inputs["added_cond_kwargs"] = added
    return inputs


def _sd3(config: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "hidden_states": _meta(1, *shape),
        "encoder_hidden_states": _meta(1, CLIP_TOKENS + T5_TOKENS, config.joint_attention_dim),
        "pooled_projections": _meta(1, config.pooled_projection_dim),
        "timestep": _meta(1),
    }


def _texts(tokens: int, width: str, config: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "hidden_states": _meta(1, *shape),
        "encoder_hidden_states": _meta(1, tokens, config[width]),
        "timestep": _meta(1),
    }


INPUTS: dict[str, Callable[[Any, tuple[int, ...]], dict[str, Any]]] = {
    "UNet2DConditionModel": _unet,
    "SD3Transformer2DModel": _sd3,
    "SanaTransformer2DModel": partial(_texts, SANA_TOKENS, "caption_channels"),
    "WanTransformer3DModel": partial(_texts, WAN_TOKENS, "text_dim"),
}
