"""A U-Net of diffusers in two parts: what they give together is its forward."""

import diffusers
import pytest
import torch

from models.unet_split import Features, check_splits, decode, encode, repeated

N, TOKENS, WIDTH = 3, 5, 8
BASE = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
ADDED = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 6 * 4 + 7,
}


def added(count=N):
    draw = torch.Generator().manual_seed(4)
    return {
        "text_embeds": torch.randn(count, 7, generator=draw),
        "time_ids": torch.randn(count, 6, generator=draw),
    }


def mask(count=N):
    return torch.ones(count, TOKENS).index_fill(1, torch.tensor([3, 4]), 0)


LABELS = {"class_labels": torch.tensor([0, 5, 2])}
NO_ATTENTION = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
THREE = {
    "block_out_channels": (8, 8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
}
PROJECTED = {
    "encoder_hid_dim": WIDTH, "encoder_hid_dim_type": "text_proj", "cross_attention_dim": 12
}  # fmt: skip
# What of the config is its own, the sides of the latents, further conditions.
KINDS = {
    "text": ({}, (8, 8), {}),
    "odd sizes": (THREE, (7, 10), {}),
    "three layers": ({"layers_per_block": 3}, (8, 8), {}),
    "layers by block": ({"layers_per_block": (1, 2)}, (8, 8), {}),
    "no mid block": ({"mid_block_type": None}, (8, 8), {}),
    "mid block without attention": ({"mid_block_type": "UNetMidBlock2D"}, (8, 8), {}),
    "attention in the mid block alone": (NO_ATTENTION, (8, 8), {}),
    "classes": ({"num_class_embeds": 6}, (8, 8), LABELS),
    "classes beside time": (
        {"num_class_embeds": 6, "class_embeddings_concat": True}, (8, 8), LABELS
    ),
    "text and sizes": (ADDED, (8, 8), {"added_cond_kwargs": added()}),
    "mask": ({}, (8, 8), {"encoder_attention_mask": mask()}),
    "guidance embedded": ({"time_cond_proj_dim": 4}, (8, 8), {"timestep_cond": torch.ones(N, 4)}),
    "projected text": (PROJECTED, (8, 8), {}),
    "activated time": ({"time_embedding_act_fn": "silu"}, (8, 8), {}),
    "centred": ({"center_input_sample": True}, (8, 8), {}),
}  # fmt: skip


def built(**config):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(**{**BASE, **config}).eval()


def drawn(sides=(8, 8), dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(N, 4, *sides, generator=draw).to(dtype)
    context = torch.randn(N, TOKENS, WIDTH, generator=draw).to(dtype)
    return x, torch.tensor([951.0, 500.25, 0.0]), context


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_parts_are_the_forward(kind):
    """Catches: a part that skips an input, or blocks joined in another order than the forward's."""
    config, sides, conditions = KINDS[kind]
    network = built(**config)
    x, t, context = drawn(sides)
    whole = network(x, t, context, **conditions).sample
    features = encode(network, x, t, context, **conditions)
    assert torch.equal(decode(network, features, t, context, **conditions), whole)
    # Every condition reaches the decoder too: its own time, at the least, moves the answer.
    assert not torch.equal(decode(network, features, t / 2, context, **conditions), whole)


@torch.no_grad()
def test_freeu_and_sixteen_bits():
    """Catches: what up blocks do by themselves, or another dtype, lost between the parts."""
    network = built().to(torch.bfloat16)
    network.enable_freeu(s1=0.9, s2=0.2, b1=1.4, b2=1.6)
    x, t, context = drawn(dtype=torch.bfloat16)
    features = encode(network, x, t, context)
    assert torch.equal(decode(network, features, t, context), network(x, t, context).sample)


@torch.no_grad()
def test_autocast():
    """Catches: embeddings cast to the dtype of the features in place of the weights'."""
    network = built(num_class_embeds=6)
    x, t, context = drawn()
    labels = {"class_labels": torch.tensor([0, 5, 2])}
    with torch.autocast("cpu", torch.bfloat16):
        features = encode(network, x, t, context, **labels)
        whole = network(x, t, context, **labels).sample
        assert torch.equal(decode(network, features, t, context, **labels), whole)


@pytest.mark.parametrize("kind", ["text", "odd sizes", "text and sizes", "classes", "mask"])
@torch.no_grad()
def test_decoders_in_parallel(kind):
    """Catches: images and timesteps paired in another order than step by step."""
    config, sides, conditions = KINDS[kind]
    network = built(**config)
    x, _, context = drawn(sides)
    times = torch.tensor([751.0, 501.0, 251.0, 1.0])
    features = encode(network, x, times[0], context, **conditions)
    one_by_one = [decode(network, features, t, context, **conditions) for t in times]

    def several(value):
        if isinstance(value, dict):
            return {name: several(own) for name, own in value.items()}
        return value.repeat(len(times), *[1] * (value.ndim - 1))

    together = decode(
        network,
        repeated(features, len(times)),
        times.repeat_interleave(N),
        several(context),
        **several(conditions),
    )
    assert (together - torch.cat(one_by_one)).abs().max() < 1e-5
    assert repeated(features, 1) is features


def test_one_encoder_learns_from_every_decoder():
    """Catches: features cut off the graph, which leaves the encoder untrained."""
    network = built()
    x, _, context = drawn()
    features = encode(network, x, 751, context)
    assert isinstance(features, Features)
    gradients = []
    for t in (751, 501):
        decode(network, features, t, context).sum().backward(retain_graph=True)
        gradients.append(network.conv_in.weight.grad.clone())
    one, both = gradients
    assert one.abs().max() > 0 and not torch.allclose(one, both)


@torch.no_grad()
def test_refusals():
    """Catches: a network whose parts would give something else than its forward, in silence."""
    network, (x, t, context) = built(), drawn()
    for adapter in ("down_block_additional_residuals", "cross_attention_kwargs"):
        with pytest.raises(TypeError, match=adapter):
            encode(network, x, t, context, **{adapter: None})
    with pytest.raises(ValueError, match="UNet2DModel has no encoder and decoder"):
        check_splits(diffusers.UNet2DModel(block_out_channels=(32,) * 4))
    images = built(encoder_hid_dim=6, encoder_hid_dim_type="text_image_proj")
    with pytest.raises(ValueError, match="IP-Adapter"):
        check_splits(images)
    network.forward = network.forward
    with pytest.raises(ValueError, match="DeepCache"):
        encode(network, x, t, context)
