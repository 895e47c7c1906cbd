"""Pairs that do not fit are refused in one line with both values, before anything runs."""

import diffusers
import pytest
import torch
from tiny_families import FAMILIES
from tiny_parts import BETAS, ddim, flow, unipc_flow

from tstitch import UserError, stitch

ROTARY = {"use_rotary_positional_embeddings": True, "num_attention_heads": 2}
# family, config of the large network, of the small one, words of the message
NETWORKS = [
    ("SD", {}, {"cross_attention_dim": 48}, ("cross_attention_dim=48", "32")),
    ("SD", {}, {"in_channels": 8, "out_channels": 8}, ("in_channels=8", "4")),
    ("SD", {}, {"in_channels": 9}, ("in_channels=9", "inpainting")),
    ("SD", {}, {"out_channels": 8}, ("out_channels=8", "learned variances")),
    ("SD", {}, {"time_cond_proj_dim": 8}, ("time_cond_proj_dim=8", "None", "distilled")),
    ("SD", {}, {"class_embed_type": "timestep"}, ("class_embed_type=timestep", "classes")),
    ("LCM", {}, {"time_cond_proj_dim": None}, ("time_cond_proj_dim=None", "8", "unguided")),
    ("SDXL", {}, {"addition_embed_type": None}, ("addition_embed_type=None", "text_time")),
    ("SDXL", {}, {"projection_class_embeddings_input_dim": 72}, ("_input_dim=72", "80")),
    ("SD-ControlNet", {}, {"layers_per_block": 1}, ("layers_per_block=[1, 1]", "[2, 2]")),
    ("SD-ControlNet", {}, {"mid_block_type": None}, ("mid_block_type=None", "CrossAttn")),
    ("SD-ControlNet", {}, {"block_out_channels": (8, 8)}, ("block_out_channels=[8, 8]", "16")),
    ("SD3-ControlNet", {}, {"num_attention_heads": 2}, ("width=16", "32", "ControlNet")),
    ("PixArt-sigma", {}, {"out_channels": 4}, ("out_channels=4", "8", "learned variances")),
    ("PixArt-sigma", {}, {"sample_size": 16}, ("sample_size=16", "8")),
    ("DiT", {}, {"sample_size": 16}, ("sample_size=16", "8")),
    ("DiT", {}, {"num_embeds_ada_norm": 10}, ("num_embeds_ada_norm=10", "1000")),
    ("SD3", {}, {"pooled_projection_dim": 32}, ("pooled_projection_dim=32", "64")),
    ("FLUX", {}, {"joint_attention_dim": 24}, ("joint_attention_dim=24", "32")),
    ("FLUX", {}, {"guidance_embeds": False}, ("guidance_embeds=None", "True", "unguided")),
    ("FLUX", {"guidance_embeds": False}, {}, ("guidance_embeds=True", "None", "distilled")),
    ("SANA", {}, {"timestep_scale": 0.001}, ("timestep_scale=0.001", "1.0")),
    ("SANA", {}, {"guidance_embeds": True}, ("guidance_embeds=True", "None")),
    ("SANA", {}, {"caption_channels": 16}, ("caption_channels=16", "8")),
    ("Wan2.1", {}, {"text_dim": 16}, ("text_dim=16", "32")),
    ("Wan2.1", {}, {"in_channels": 36}, ("in_channels=36", "16", "images")),
    ("Lumina2", {}, {"cap_feat_dim": 16}, ("cap_feat_dim=16", "8")),
    ("HunyuanDiT", {}, {"attention_head_dim": 16, "num_attention_heads": 1}, ("head_dim=16", "8")),
    ("CogVideoX-ddim", {**ROTARY, "attention_head_dim": 16},
     {"attention_head_dim": 16, "num_attention_heads": 1}, ("_embeddings=False", "sines")),
    ("CogVideoX-ddim", {**ROTARY, "attention_head_dim": 16},
     {**ROTARY, "attention_head_dim": 32}, ("attention_head_dim=32", "16")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "large", "small", "words"), NETWORKS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_networks(name, large, small, words):
    """Catches: a pair that fails deep inside a network, or runs and makes noise in silence."""
    family = FAMILIES[name]
    pipe = family.make("large", **large)
    with pytest.raises(UserError) as caught:
        stitch(pipe, family.network("small", **small))
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message and message.count("the large one has") == 1


# What differs in the small pipeline: family, part, what it has, words
PIPELINES = [
    ("SD", "scheduler", lambda: ddim(prediction_type="v_prediction"),
     ("prediction_type=v_prediction", "epsilon")),
    ("SD", "scheduler", lambda: diffusers.DDIMScheduler(), ("beta_schedule=linear", "scaled")),
    ("SD", "scheduler", lambda: ddim(beta_end=0.02), ("beta_end=0.02", "0.012")),
    ("SD", "scheduler", lambda: ddim(num_train_timesteps=500), ("timesteps=500", "1000")),
    ("SD", "scheduler", lambda: ddim(rescale_betas_zero_snr=True), ("zero_snr=True", "None")),
    ("SD", "scheduler", flow, ("prediction_type=flow_prediction", "epsilon")),
    ("SD", "vae.scaling_factor", 0.13, ("vae.scaling_factor=0.13", "0.18215")),
    ("SD3", "vae.shift_factor", 0.1, ("vae.shift_factor=0.1", "0.06")),
    ("SD", "text_encoder.vocab_size", 2000, ("text_encoder.vocab_size=2000", "1000")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "part", "value", "words"), PIPELINES)
def test_pipelines(name, part, value, words):
    """Catches: networks stitched over other noise, latents or texts than they were trained for."""
    family = FAMILIES[name]
    pipe, small = family.make("large"), family.make("small")
    part, _, field = part.partition(".")
    if not field:
        setattr(small, part, value())
    elif part == "vae":
        small.vae.register_to_config(**{field: value})
    else:
        setattr(getattr(small, part).config, field, value)
    with pytest.raises(UserError) as caught:
        stitch(pipe, small)
    assert all(word in str(caught.value) for word in words), caught.value
    assert len(str(caught.value).splitlines()) == 1


def test_what_may_differ():
    """Catches: a refusal of another solver, of a network whose pipeline nobody gave, of a pair
    that somebody vouches for."""
    family = FAMILIES["SD"]
    pipe, small = family.make("large"), family.make("small")
    small.scheduler = diffusers.UniPCMultistepScheduler(**BETAS)
    stitch(pipe, small)
    small.scheduler = ddim(prediction_type="v_prediction")
    stitch(pipe, small.unet)
    stitch(pipe, small, verify=False)
    family = FAMILIES["FLUX"]
    pipe = stitch(family.make("large"), family.network("small", guidance_embeds=False), 1,
                  verify=False)  # fmt: skip
    plain = family.run(family.make("small", guidance_embeds=False))
    assert torch.equal(family.run(pipe), plain)  # without the guidance that it cannot take


def test_another_class():
    """Catches: a transformer in the place of another."""
    pipe = FAMILIES["SD3"].make("large")
    with pytest.raises(UserError, match="^class=FluxTransformer2DModel: .* SD3Transformer2DModel"):
        stitch(pipe, FAMILIES["FLUX"].network("small"))
    with pytest.raises(UserError, match="^small=StableDiffusionPipeline: it has no transformer"):
        stitch(pipe, FAMILIES["SD"].make("small"))


def test_perturbed_attention():
    """Catches: steps of the small network without the guidance that the user asked for."""
    pipe = diffusers.StableDiffusionPAGPipeline(
        **FAMILIES["SD"].make("large").components,
        requires_safety_checker=False,
        pag_applied_layers="mid",
    )
    with pytest.raises(UserError, match="^pipe=StableDiffusionPAGPipeline: perturbed attention"):
        stitch(pipe, FAMILIES["SD"].network("small"))


def test_another_flow_shift_is_warned_of():
    """Catches: a fraction that means another part of the noise, without a word."""
    family = FAMILIES["Wan2.1"]
    small = family.make("small")
    small.scheduler = unipc_flow(5.0)
    with pytest.warns(UserWarning, match=r"^scheduler.shift=5.0: the large one has 3.0"):
        stitch(family.make("large"), small)


def test_a_second_transformer_is_warned_of():
    """Catches: steps of Wan 2.2's other expert that a user believes stitched."""
    family = FAMILIES["Wan2.2"]
    with pytest.warns(UserWarning, match=r"^pipe.transformer_2: it runs its own part"):
        stitch(family.make("large"), family.network("small"))
