"""Tiny random pipelines around U-Nets."""

from typing import Any

import diffusers
from tiny_parts import (
    BETAS,
    SIDE,
    Family,
    built,
    clip,
    ddim,
    euler,
    image,
    mask,
    noise,
    pooled,
    seeded,
    sized,
    texts,
    vae,
)  # fmt: skip

SIZE = {"height": SIDE, "width": SIDE}
TEXTS = {**texts(32, 7), "guidance_scale": 5.0}
XL_TEXTS = {**texts(64, 7), **pooled(32), "guidance_scale": 5.0}
STAGES = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "in_channels": 4,
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
    "norm_num_groups": 2,
}
XL = {
    "attention_head_dim": (2, 4),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "transformer_layers_per_block": (1, 2),
    "projection_class_embeddings_input_dim": 80,
    "cross_attention_dim": 64,
}


def unet(size: str, **config: Any) -> Any:
    """The small one has fewer layers per stage, as BK-SDM."""
    base = {
        **STAGES,
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "out_channels": 4,
        "sample_size": 16,
        "layers_per_block": sized(size, 2, 1),
    }
    return built(diffusers.UNet2DConditionModel, size, **{**base, **config})


def xl_unet(size: str, **config: Any) -> Any:
    """The small one has the same residual layers and fewer attentions, as SSD-1B."""
    depth = {"layers_per_block": 2, "transformer_layers_per_block": sized(size, (1, 2), (1, 1))}
    return unet(size, **{**XL, **depth, **config})


def wide_unet(size: str, **config: Any) -> Any:
    """Small in its attentions alone: a ControlNet adds to as many places in both."""
    heads = {"layers_per_block": 2, "attention_head_dim": sized(size, 2, 4)}
    return unet(size, **{**heads, **config})


def lcm_unet(size: str, **config: Any) -> Any:
    return unet(size, **{"time_cond_proj_dim": 8, **config})


def controlnet(**config: Any) -> Any:
    base = {**STAGES, "layers_per_block": 2, "conditioning_embedding_out_channels": (8, 8)}
    return seeded(9, diffusers.ControlNetModel, **{**base, **config})


def motion_unet(size: str, **config: Any) -> Any:
    adapter = motion_adapter(motion_layers_per_block=sized(size, 2, 1))
    make = diffusers.UNetMotionModel.from_unet2d
    return built(make, size, unet=unet(size, **config), motion_adapter=adapter)


def motion_adapter(**config: Any) -> Any:
    base = {"block_out_channels": (8, 16), "motion_norm_num_groups": 2}
    base |= {"motion_num_attention_heads": 2, "motion_layers_per_block": 2}
    return seeded(3, diffusers.MotionAdapter, **{**base, **config})


def parts(network: Any, **others: Any) -> dict[str, Any]:
    """Of a Stable Diffusion pipeline."""
    return {
        "vae": vae(),
        "text_encoder": clip(),
        "tokenizer": None,
        "unet": network,
        "scheduler": ddim(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
        **others,
    }


def xl_parts(network: Any, **others: Any) -> dict[str, Any]:
    return {
        "vae": vae(),
        "text_encoder": None,
        "text_encoder_2": None,
        "tokenizer": None,
        "tokenizer_2": None,
        "unet": network,
        "scheduler": euler(),
        "add_watermarker": False,
        **others,
    }


def lcm_pipeline(network: Any) -> Any:
    scheduler = diffusers.LCMScheduler(**BETAS)
    return diffusers.LatentConsistencyModelPipeline(**parts(network, scheduler=scheduler))


def animate_pipeline(network: Any) -> Any:
    return diffusers.AnimateDiffPipeline(
        vae=vae(),
        text_encoder=clip(),
        tokenizer=None,
        unet=network,
        motion_adapter=motion_adapter(),
        scheduler=ddim(),
    )


def of_sd(kind: str, inputs: dict[str, Any], network: Any = unet, **others: Any) -> Family:
    def pipeline(network: Any) -> Any:
        made = {name: make() for name, make in others.items()}
        return getattr(diffusers, f"StableDiffusion{kind}Pipeline")(**parts(network, **made))

    return Family("unet", network, pipeline, {**TEXTS, **inputs})


def of_xl(kind: str, inputs: dict[str, Any], **others: Any) -> Family:
    def pipeline(network: Any) -> Any:
        made = {name: make() for name, make in others.items()}
        return getattr(diffusers, f"StableDiffusionXL{kind}Pipeline")(**xl_parts(network, **made))

    return Family("unet", xl_unet, pipeline, {**XL_TEXTS, **inputs})


UNETS = {
    "SD": of_sd("", SIZE),
    "SD-img2img": of_sd("Img2Img", {"image": image(), "strength": 0.8}),
    "SD-inpaint": of_sd("Inpaint", {**SIZE, "image": image(), "mask_image": mask()}),
    "SD-ControlNet": of_sd("ControlNet", {"image": image()}, wide_unet, controlnet=controlnet),
    "SDXL": of_xl("", SIZE),
    "SDXL-img2img": of_xl("Img2Img", {"image": image(), "strength": 0.8}),
    "SDXL-inpaint": of_xl("Inpaint", {**SIZE, "image": image(), "mask_image": mask()}),
    "SDXL-ControlNet": of_xl(
        "ControlNet", {"image": image()}, controlnet=lambda: controlnet(**XL)
    ),
    "LCM": Family(
        "unet",
        lcm_unet,
        lcm_pipeline,
        {**SIZE, **texts(32, 7, negative=False), "guidance_scale": 5.0},
    ),
    "AnimateDiff": Family(
        "unet", motion_unet, animate_pipeline, {**TEXTS, **SIZE, "num_frames": 4}
    ),
}  # fmt: skip

__all__ = ["UNETS", "controlnet", "noise", "unet", "wide_unet", "xl_unet"]
