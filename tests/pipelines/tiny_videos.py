"""Tiny random pipelines around transformers that make videos."""

from typing import Any

import diffusers
from tiny_parts import (
    SIDE,
    Family,
    built,
    clip,
    flow,
    masks,
    noise,
    seeded,
    sized,
    texts,
    unipc_flow,
)
from tiny_transformers import named

SMALL_FRAME = {"height": 16, "width": 16}


def wan(size: str, **config: Any) -> Any:
    base = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": sized(size, 2, 1),
        "attention_head_dim": 12,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": 32,
        "freq_dim": 256,
        "ffn_dim": sized(size, 32, 16),
        "num_layers": sized(size, 3, 1),
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 32,
    }
    return built(diffusers.WanTransformer3DModel, size, **{**base, **config})


def wan_vae() -> Any:
    config = {
        "base_dim": 3,
        "z_dim": 16,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }
    return seeded(7, diffusers.AutoencoderKLWan, **config)


def wan_pipeline(network: Any, **experts: Any) -> Any:
    return diffusers.WanPipeline(**named(unipc_flow(), network, vae=wan_vae()), **experts)


def wan_experts(network: Any) -> Any:
    """Wan 2.2: another network below the boundary."""
    return wan_pipeline(network, transformer_2=wan("large"), boundary_ratio=0.875)


WAN_INPUTS = {**texts(32), **SMALL_FRAME, "guidance_scale": 5.0, "num_frames": 5}


def cogvideo(size: str, **config: Any) -> Any:
    base = {
        "num_attention_heads": sized(size, 4, 2),
        "attention_head_dim": 8,
        "in_channels": 4,
        "out_channels": 4,
        "time_embed_dim": 2,
        "text_embed_dim": 32,
        "num_layers": sized(size, 3, 1),
        "sample_width": 2,
        "sample_height": 2,
        "sample_frames": 9,
        "patch_size": 2,
        "temporal_compression_ratio": 4,
        "max_text_seq_length": 6,
    }
    return built(diffusers.CogVideoXTransformer3DModel, size, **{**base, **config})


def cogvideo_vae() -> Any:
    config = {
        "down_block_types": ("CogVideoXDownBlock3D",) * 4,
        "up_block_types": ("CogVideoXUpBlock3D",) * 4,
        "block_out_channels": (8,) * 4,
        "latent_channels": 4,
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "temporal_compression_ratio": 4,
    }
    return seeded(7, diffusers.AutoencoderKLCogVideoX, **config)


def cogvideo_family(scheduler: Any) -> Family:
    def pipeline(network: Any) -> Any:
        return diffusers.CogVideoXPipeline(**named(scheduler(), network, vae=cogvideo_vae()))

    inputs = {**texts(32), **SMALL_FRAME, "guidance_scale": 6.0, "num_frames": 9}
    return Family("transformer", cogvideo, pipeline, {**inputs, "max_sequence_length": 6})


def ltx(size: str, **config: Any) -> Any:
    base = {
        "in_channels": 8,
        "out_channels": 8,
        "patch_size": 1,
        "patch_size_t": 1,
        "num_attention_heads": sized(size, 4, 2),
        "attention_head_dim": 8,
        "cross_attention_dim": sized(size, 32, 16),
        "num_layers": sized(size, 3, 1),
        "caption_channels": 32,
    }
    return built(diffusers.LTXVideoTransformer3DModel, size, **{**base, **config})


def ltx_vae() -> Any:
    config = {
        "latent_channels": 8,
        "block_out_channels": (8,) * 4,
        "decoder_block_out_channels": (8,) * 4,
        "layers_per_block": (1,) * 5,
        "decoder_layers_per_block": (1,) * 5,
        "spatio_temporal_scaling": (True, True, False, False),
        "decoder_spatio_temporal_scaling": (True, True, False, False),
        "decoder_inject_noise": (False,) * 5,
        "upsample_residual": (False,) * 4,
        "upsample_factor": (1,) * 4,
        "timestep_conditioning": False,
        "patch_size": 1,
        "patch_size_t": 1,
        "encoder_causal": True,
        "decoder_causal": False,
    }
    network = seeded(7, diffusers.AutoencoderKLLTXVideo, **config)
    network.use_framewise_encoding = network.use_framewise_decoding = False
    return network


def ltx_pipeline(network: Any) -> Any:
    return diffusers.LTXPipeline(**named(flow(), network, vae=ltx_vae()))


def hunyuan_video(size: str, **config: Any) -> Any:
    base = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": sized(size, 2, 1),
        "attention_head_dim": 10,
        "num_layers": sized(size, 2, 1),
        "num_single_layers": 1,
        "num_refiner_layers": 1,
        "patch_size": 1,
        "patch_size_t": 1,
        "guidance_embeds": True,
        "text_embed_dim": 16,
        "pooled_projection_dim": 8,
        "rope_axes_dim": (2, 4, 4),
    }
    return built(diffusers.HunyuanVideoTransformer3DModel, size, **{**base, **config})


def hunyuan_video_vae() -> Any:
    config = {
        "latent_channels": 4,
        "down_block_types": ("HunyuanVideoDownBlock3D",) * 4,
        "up_block_types": ("HunyuanVideoUpBlock3D",) * 4,
        "block_out_channels": (8,) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "scaling_factor": 0.47,
        "spatial_compression_ratio": 8,
        "temporal_compression_ratio": 4,
        "mid_block_add_attention": True,
    }
    return seeded(7, diffusers.AutoencoderKLHunyuanVideo, **config)


def hunyuan_video_pipeline(network: Any) -> Any:
    return diffusers.HunyuanVideoPipeline(
        text_encoder=clip(),
        tokenizer=None,
        transformer=network,
        vae=hunyuan_video_vae(),
        scheduler=flow(shift=7.0),
        text_encoder_2=clip(),
        tokenizer_2=None,
    )


VIDEOS = {
    "Wan2.1": Family("transformer", wan, wan_pipeline, WAN_INPUTS, 2),
    "Wan2.2": Family("transformer", wan, wan_experts, WAN_INPUTS, 2),
    "CogVideoX-ddim": cogvideo_family(diffusers.CogVideoXDDIMScheduler),
    "CogVideoX-dpm": cogvideo_family(diffusers.CogVideoXDPMScheduler),
    "LTX": Family(
        "transformer", ltx, ltx_pipeline,
        {**texts(32), **masks(), "height": SIDE, "width": SIDE, "num_frames": 9,
         "guidance_scale": 3.0},
    ),
    "HunyuanVideo": Family(
        "transformer", hunyuan_video, hunyuan_video_pipeline,
        {**texts(16, negative=False), "prompt_attention_mask": masks()["prompt_attention_mask"],
         "pooled_prompt_embeds": noise(1, 8, seed=5), **SMALL_FRAME, "guidance_scale": 4.5,
         "num_frames": 5},
    ),
}  # fmt: skip
