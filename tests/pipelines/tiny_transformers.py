"""Tiny random pipelines around transformers that make images."""

from typing import Any

import diffusers
import torch
from tiny_parts import (
    SIDE,
    Family,
    built,
    clip,
    flow,
    image,
    masks,
    noise,
    pooled,
    seeded,
    sized,
    texts,
    vae,
)  # fmt: skip

SIZE = {"height": SIDE, "width": SIDE}
UNBINNED = {"use_resolution_binning": False}


def named(scheduler: Any, network: Any, *, text_encoders: int = 1, **others: Any) -> dict[str, Any]:
    """Parts of a pipeline; no prompt is encoded."""
    found: dict[str, Any] = {"scheduler": scheduler, "transformer": network, "vae": vae(), **others}
    for i in range(text_encoders):
        end = "" if i == 0 else f"_{i + 1}"
        found |= {f"text_encoder{end}": clip(), f"tokenizer{end}": None}
    return found


def dit(size: str, **config: Any) -> Any:
    base = {
        "sample_size": 8,
        "num_layers": sized(size, 3, 1),
        "patch_size": 2,
        "attention_head_dim": 8,
        "num_attention_heads": sized(size, 3, 2),
        "in_channels": 4,
        "out_channels": 8,
        "num_embeds_ada_norm": 1000,
        "norm_type": "ada_norm_zero",
        "norm_elementwise_affine": False,
    }
    return built(diffusers.DiTTransformer2DModel, size, **{**base, **config})


def dit_pipeline(network: Any) -> Any:
    scheduler = diffusers.DDIMScheduler()
    return diffusers.DiTPipeline(transformer=network, vae=vae(), scheduler=scheduler)


def pixart(size: str, **config: Any) -> Any:
    base = {
        "sample_size": 8,
        "num_layers": sized(size, 3, 1),
        "patch_size": 2,
        "attention_head_dim": 8,
        "num_attention_heads": sized(size, 3, 2),
        "caption_channels": 32,
        "in_channels": 4,
        "out_channels": 8,
        "cross_attention_dim": sized(size, 24, 16),
        "norm_type": "ada_norm_single",
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
        "use_additional_conditions": False,
    }
    return built(diffusers.PixArtTransformer2DModel, size, **{**base, **config})


def pixart_family(kind: str) -> Family:
    def pipeline(network: Any) -> Any:
        scheduler = diffusers.DPMSolverMultistepScheduler()
        return getattr(diffusers, f"PixArt{kind}Pipeline")(**named(scheduler, network))

    inputs = {**texts(32), **masks(), **UNBINNED, "prompt": None, "negative_prompt": None}
    inputs |= {"guidance_scale": 4.5, "height": 16, "width": 16}
    return Family("transformer", pixart, pipeline, inputs)


def sd3(size: str, **config: Any) -> Any:
    base = {
        "sample_size": SIDE,
        "patch_size": 1,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": sized(size, 3, 1),
        "attention_head_dim": 8,
        "num_attention_heads": sized(size, 4, 2),
        "caption_projection_dim": sized(size, 32, 16),
        "joint_attention_dim": 32,
        "pooled_projection_dim": 64,
    }
    return built(diffusers.SD3Transformer2DModel, size, **{**base, **config})


def sd3_same_width(size: str, **config: Any) -> Any:
    return sd3(size, **{"num_attention_heads": 4, "caption_projection_dim": 32, **config})


def sd3_parts(network: Any) -> dict[str, Any]:
    encoders = {f"{kind}{end}": None for kind in ("text_encoder", "tokenizer") for end in ENDS}
    found = {**encoders, "scheduler": flow(shift=3.0), "transformer": network}
    return {**found, "vae": vae(shift_factor=0.06, scaling_factor=1.5)}


ENDS = ("", "_2", "_3")
SD3_TEXTS = {**texts(32), **pooled(64), "guidance_scale": 5.0}


def sd3_controlnet() -> Any:
    config = {
        "sample_size": SIDE,
        "patch_size": 1,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": 1,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 32,
        "caption_projection_dim": 32,
        "pooled_projection_dim": 64,
    }
    return seeded(9, diffusers.SD3ControlNetModel, **config)


def sd3_control_pipeline(network: Any) -> Any:
    return diffusers.StableDiffusion3ControlNetPipeline(
        **sd3_parts(network), controlnet=sd3_controlnet()
    )


def flux(size: str, **config: Any) -> Any:
    base = {
        "patch_size": 1,
        "in_channels": 16,
        "num_layers": sized(size, 2, 1),
        "num_single_layers": sized(size, 2, 1),
        "attention_head_dim": 16,
        "num_attention_heads": sized(size, 2, 1),
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "axes_dims_rope": [4, 4, 8],
        "guidance_embeds": True,
    }
    return built(diffusers.FluxTransformer2DModel, size, **{**base, **config})


def flux_family(kind: str, **inputs: Any) -> Family:
    def pipeline(network: Any) -> Any:
        encoders = {f"{k}{e}": None for k in ("text_encoder", "tokenizer") for e in ENDS[:2]}
        return getattr(diffusers, f"Flux{kind}Pipeline")(
            **encoders,
            scheduler=flow(use_dynamic_shifting=True),
            transformer=network,
            vae=vae(shift_factor=0.06, scaling_factor=1.5),
        )

    texts_ = {**texts(32, negative=False), **pooled(32, negative=False), "guidance_scale": 3.5}
    calls = 2 if "true_cfg_scale" in inputs else 1
    return Family("transformer", flux, pipeline, {**texts_, **SIZE, **inputs}, calls)


def sana(size: str, **config: Any) -> Any:
    base = {
        "patch_size": 1,
        "in_channels": 4,
        "out_channels": 4,
        "num_layers": sized(size, 3, 1),
        "num_attention_heads": sized(size, 2, 1),
        "attention_head_dim": 4,
        "num_cross_attention_heads": sized(size, 2, 1),
        "cross_attention_head_dim": 4,
        "cross_attention_dim": sized(size, 8, 4),
        "caption_channels": 8,
        "sample_size": SIDE,
    }
    return built(diffusers.SanaTransformer2DModel, size, **{**base, **config})


def sprint(size: str, **config: Any) -> Any:
    distilled = {"guidance_embeds": True, "qk_norm": "rms_norm_across_heads"}
    return sana(size, **{**distilled, **config})


def deep_vae() -> Any:
    config = {
        "latent_channels": 4,
        "attention_head_dim": 2,
        "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "decoder_block_types": ("ResBlock", "EfficientViTBlock"),
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "encoder_qkv_multiscales": ((), (5,)),
        "decoder_qkv_multiscales": ((), (5,)),
        "encoder_layers_per_block": (1, 1),
        "decoder_layers_per_block": [1, 1],
        "downsample_block_type": "conv",
        "upsample_block_type": "interpolate",
        "decoder_norm_types": "rms_norm",
        "decoder_act_fns": "silu",
        "scaling_factor": 0.41407,
    }
    return seeded(7, diffusers.AutoencoderDC, **config)


def sana_family(kind: str, scheduler: Any, network: Any = sana, **inputs: Any) -> Family:
    def pipeline(network: Any) -> Any:
        found = named(scheduler(), network, vae=deep_vae())
        return getattr(diffusers, f"Sana{kind}Pipeline")(**found)

    base = {**texts(8), **masks(), **SIZE, **UNBINNED, "guidance_scale": 4.5}
    base |= {"negative_prompt": None, "complex_human_instruction": None, **inputs}
    if kind == "Sprint":
        base = {name: value for name, value in base.items() if not name.startswith("negative")}
    return Family("transformer", network, pipeline, base)


def sana_dpm() -> Any:
    return diffusers.DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
    )


def hunyuan(size: str, **config: Any) -> Any:
    base = {
        "sample_size": 16,
        "num_layers": sized(size, 4, 2),
        "patch_size": 2,
        "attention_head_dim": 8,
        "num_attention_heads": sized(size, 3, 2),
        "in_channels": 4,
        "cross_attention_dim": 32,
        "cross_attention_dim_t5": 32,
        "pooled_projection_dim": 16,
        "hidden_size": sized(size, 24, 16),
        "activation_fn": "gelu-approximate",
        "text_len": 6,
        "text_len_t5": 6,
    }
    return built(diffusers.HunyuanDiT2DModel, size, **{**base, **config})


def hunyuan_pipeline(network: Any) -> Any:
    stages = {"down_block_types": ("DownEncoderBlock2D",) * 4}
    stages |= {"up_block_types": ("UpDecoderBlock2D",) * 4, "block_out_channels": (4,) * 4}
    return diffusers.HunyuanDiTPipeline(
        **named(diffusers.DDPMScheduler(), network, text_encoders=2, vae=vae(**stages)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def hunyuan_inputs() -> dict[str, Any]:
    both = {**texts(32), **masks()}
    found = {**both, **{f"{name}_2": value for name, value in both.items()}}
    return {**found, **SIZE, **UNBINNED, "guidance_scale": 5.0}


def aura(size: str, **config: Any) -> Any:
    base = {
        "sample_size": SIDE,
        "patch_size": 2,
        "in_channels": 4,
        "out_channels": 4,
        "num_mmdit_layers": 1,
        "num_single_dit_layers": sized(size, 2, 1),
        "attention_head_dim": 8,
        "num_attention_heads": sized(size, 4, 2),
        "caption_projection_dim": sized(size, 32, 16),
        "joint_attention_dim": 32,
        "pos_embed_max_size": 256,
    }
    return built(diffusers.AuraFlowTransformer2DModel, size, **{**base, **config})


def lumina(size: str, **config: Any) -> Any:
    base = {
        "sample_size": 4,
        "patch_size": 2,
        "in_channels": 4,
        "hidden_size": sized(size, 16, 8),
        "num_layers": sized(size, 3, 1),
        "num_attention_heads": sized(size, 2, 1),
        "num_kv_heads": 1,
        "multiple_of": 16,
        "axes_dim_rope": [4, 2, 2],
        "cap_feat_dim": 8,
    }
    return built(diffusers.Lumina2Transformer2DModel, size, **{**base, **config})


def qwen(size: str, **config: Any) -> Any:
    base = {
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 4,
        "num_layers": sized(size, 3, 1),
        "attention_head_dim": 16,
        "num_attention_heads": sized(size, 3, 2),
        "joint_attention_dim": 16,
        "guidance_embeds": False,
        "axes_dims_rope": (8, 4, 4),
    }
    return built(diffusers.QwenImageTransformer2DModel, size, **{**base, **config})


def qwen_vae() -> Any:
    config = {
        "base_dim": 24,
        "z_dim": 4,
        "dim_mult": [1, 2, 4],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True],
        "latents_mean": [0.0] * 4,
        "latents_std": [1.0] * 4,
    }
    return seeded(7, diffusers.AutoencoderKLQwenImage, **config)


def z_image(size: str, **config: Any) -> Any:
    base = {
        "all_patch_size": (2,),
        "all_f_patch_size": (1,),
        "in_channels": 4,
        "dim": sized(size, 32, 16),
        "n_layers": sized(size, 3, 1),
        "n_refiner_layers": 1,
        "n_heads": sized(size, 2, 1),
        "n_kv_heads": sized(size, 2, 1),
        "norm_eps": 1e-5,
        "qk_norm": True,
        "cap_feat_dim": 16,
        "rope_theta": 256.0,
        "t_scale": 1000.0,
        "axes_dims": [8, 4, 4],
        "axes_lens": [256, 32, 32],
    }
    network = built(diffusers.ZImageTransformer2DModel, size, **{**base, **config})
    with torch.no_grad():  # of memory that nothing was written to
        network.x_pad_token.fill_(1.0)
        network.cap_pad_token.fill_(1.0)
    return network


def chroma(size: str, **config: Any) -> Any:
    base = {
        "patch_size": 1,
        "in_channels": 16,
        "num_layers": sized(size, 2, 1),
        "num_single_layers": sized(size, 2, 1),
        "attention_head_dim": 16,
        "num_attention_heads": sized(size, 2, 1),
        "joint_attention_dim": 32,
        "axes_dims_rope": [4, 4, 8],
        "approximator_hidden_dim": 32,
        "approximator_layers": 1,
        "approximator_num_channels": 16,
    }
    return built(diffusers.ChromaTransformer2DModel, size, **{**base, **config})


def of(kind: str, network: Any, scheduler: Any, inputs: dict[str, Any], *, calls: int = 1,
       autoencoder: Any = vae) -> Family:  # fmt: skip
    def pipeline(network: Any) -> Any:
        found = named(scheduler(), network, vae=autoencoder())
        return getattr(diffusers, f"{kind}Pipeline")(**found)

    return Family("transformer", network, pipeline, inputs, calls)


NEGATIVE_FLUX = {
    "true_cfg_scale": 3.0,
    "negative_prompt_embeds": noise(1, 6, 32, seed=8),
    "negative_pooled_prompt_embeds": noise(1, 32, seed=9),
}
SHIFTED = {"shift_factor": 0.06, "scaling_factor": 1.5}
Z_TEXTS = {
    "prompt_embeds": [noise(6, 16, seed=3)],
    "negative_prompt_embeds": [noise(6, 16, seed=4)],
}
QWEN_MASKS = {
    f"{name}_mask": torch.ones(1, 6, dtype=torch.long)
    for name in ("prompt_embeds", "negative_prompt_embeds")
}

TRANSFORMERS = {
    "DiT": Family("transformer", dit, dit_pipeline, {"class_labels": [1], "guidance_scale": 4.0}),
    "PixArt-alpha": pixart_family("Alpha"),
    "PixArt-sigma": pixart_family("Sigma"),
    "SD3": Family(
        "transformer", sd3, lambda d: diffusers.StableDiffusion3Pipeline(**sd3_parts(d)),
        {**SD3_TEXTS, "height": 16, "width": 16},
    ),
    "SD3-img2img": Family(
        "transformer", sd3, lambda d: diffusers.StableDiffusion3Img2ImgPipeline(**sd3_parts(d)),
        {**SD3_TEXTS, **SIZE, "image": image(), "strength": 0.8},
    ),
    "SD3-ControlNet": Family(
        "transformer", sd3_same_width, sd3_control_pipeline,
        {**SD3_TEXTS, **SIZE, "control_image": image()},
    ),
    "FLUX": flux_family(""),
    "FLUX-true-cfg": flux_family("", **NEGATIVE_FLUX),
    "FLUX-img2img": flux_family("Img2Img", image=image(), strength=0.8),
    "SANA": sana_family("", lambda: flow(shift=3.0)),
    "SANA-dpm": sana_family("", sana_dpm),
    "SANA-Sprint": sana_family(
        "Sprint", diffusers.SCMScheduler, sprint, intermediate_timesteps=None
    ),
    "HunyuanDiT": Family("transformer", hunyuan, hunyuan_pipeline, hunyuan_inputs()),
    "AuraFlow": of(
        "AuraFlow", aura, lambda: flow(shift=1.73),
        {**texts(32), **masks(), **SIZE, "guidance_scale": 3.5},
    ),
    "Lumina2": of(
        "Lumina2", lumina, lambda: flow(shift=6.0),
        {**texts(8), **masks(torch.bool), **SIZE, "guidance_scale": 4.0}, calls=2,
    ),
    "QwenImage": of(
        "QwenImage", qwen, lambda: flow(use_dynamic_shifting=True),
        {**texts(16), **QWEN_MASKS, **SIZE, "true_cfg_scale": 4.0}, calls=2,
        autoencoder=qwen_vae,
    ),
    "Z-Image": of(
        "ZImage", z_image, lambda: flow(shift=3.0), {**Z_TEXTS, **SIZE, "guidance_scale": 3.0},
        autoencoder=lambda: vae(shift_factor=0.1, scaling_factor=0.36),
    ),
    "Chroma": of(
        "Chroma", chroma, flow,
        {**texts(32), **masks(torch.bool), **SIZE, "guidance_scale": 5.0}, calls=2,
        autoencoder=lambda: vae(**SHIFTED),
    ),
}  # fmt: skip
