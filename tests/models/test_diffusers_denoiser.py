"""Networks of diffusers: arguments, refusals, weights from folders."""

import json

import pytest
import torch

from models.checkpoints import CheckpointError, load_weights
from models.diffusers_denoiser import DiffusersDenoiser
from models.folders import folder_digest, weight_files
from models.precision import lower_products

DIT = {
    "_class_name": "DiTTransformer2DModel", "sample_size": 8, "num_layers": 1, "in_channels": 4,
    "num_attention_heads": 2, "attention_head_dim": 8, "out_channels": 8, "num_embeds_ada_norm": 5,
}  # fmt: skip
UNET = {
    "_class_name": "UNet2DModel", "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"], "layers_per_block": 1,
    "up_block_types": ["UpBlock2D", "UpBlock2D"], "norm_num_groups": 4, "attention_head_dim": 4,
}  # fmt: skip


def build(config, **options):
    with torch.device("meta"):
        return DiffusersDenoiser(config=config, **{"input_size": 8, "num_classes": 5} | options)


def test_what_networks_take():
    """Catches: a network guided from a class that it does not have, or refused though it has."""
    assert build(DIT).has_null and build(DIT).conditioning == "classes"
    plain = build(UNET, in_channels=1)
    assert (plain.conditioning, plain.has_null) == (None, False)
    assert not build(UNET | {"num_class_embeds": 5}, in_channels=1).has_null
    assert build(UNET | {"num_class_embeds": 6}, in_channels=1).has_null


@pytest.mark.parametrize(
    ("config", "options", "words"),
    [
        (DIT, {"in_channels": 3}, ("in_channels=3", "config has 4")),
        (DIT, {"input_size": 16}, ("input_size=16", "has 8")),
        (DIT, {"num_classes": 4}, ("num_classes=4", "has 5")),
        (DIT | {"out_channels": 5}, {}, ("5 output channels", "4 or 8")),
        (DIT | {"num_layer": 3}, {}, ("config.num_layer", "spelling")),
        (DIT | {"_class_name": "FluxTransformer2DModel"}, {}, ("_class_name is Flux", "UNet2D")),
        (UNET, {"input_size": 7, "in_channels": 1}, ("input_size=7", "multiple of 2")),
        (UNET, {"in_channels": 1, "published_dit": True}, ("published_dit=True",)),
        (UNET, {"in_channels": 1, "patch_size": 3}, ("patch_size=3", "divisor of input_size=8")),
        (UNET, {"in_channels": 1, "patch_size": 1.0}, ("patch_size=1.0", "an integer")),
        (UNET, {"in_channels": 1, "patch_size": 0}, ("patch_size=0", "an integer of at least 1")),
        (UNET | {"norm_num_groups": 3}, {"in_channels": 1}, ("cannot be built",)),
        (UNET | {"time_embedding_type": "fourier"}, {"in_channels": 1}, ("every t from 0",)),
    ],
)
def test_refusals(config, options, words):
    """Catches: a traceback of diffusers, or images from a network of another space."""
    with pytest.raises(ValueError) as caught:
        build(config, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert len(str(caught.value).splitlines()) == 1


def test_inputs_that_no_pair_gives(unet_config):
    """Catches: a U-Net that wants an image beside the text, run without."""
    with pytest.raises(ValueError, match="time_cond_proj_dim=8"):
        build(unet_config | {"time_cond_proj_dim": 8}, in_channels=3)


def test_sdxl_takes_pooled_texts_and_sizes(unet_config):
    """Catches: SDXL's sizes at the wrong places, pooled texts of the wrong rows."""
    sizes = {"addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 6 * 4 + 10}
    config = unet_config | {"addition_embed_type": "text_time"} | sizes
    network = DiffusersDenoiser(config=config, input_size=8, in_channels=3, num_classes=2)
    assert network.text_widths == {"encoder_hidden_states": 12, "text_embeds": 10}
    seen = {}
    network.network.forward = lambda x, t, **inputs: (seen.update(inputs) or x,)
    table = {"encoder_hidden_states": torch.randn(3, 7, 12), "text_embeds": torch.randn(3, 10)}
    network.bind(table)
    network(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.tensor([1, 2]))
    added = seen["added_cond_kwargs"]
    assert torch.equal(seen["encoder_hidden_states"], table["encoder_hidden_states"][1:])
    assert torch.equal(added["text_embeds"], table["text_embeds"][1:])
    assert added["time_ids"].tolist() == [[64, 64, 0, 0, 64, 64]] * 2


def test_shards(text_pipeline, tmp_path):
    """Catches: one shard taken for all weights, a digest that does not see the others, a folder
    without its configuration's identity."""
    folder = text_pipeline / "unet"
    assert len(weight_files(folder)) > 1
    network = DiffusersDenoiser(source=str(folder), input_size=8, in_channels=3, num_classes=2)
    assert network.prediction == "v" and network.pretrained == str(folder)
    assert str(folder) not in json.dumps(network.identity)
    before = {name: value.clone() for name, value in network.as_saved.state_dict().items()}
    assert load_weights(network.as_saved, folder) == ""
    after = network.as_saved.state_dict()
    assert not any(torch.equal(before[n], after[n]) for n in after if n.endswith("proj.weight"))
    digest = folder_digest(folder)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert folder_digest(tmp_path) == digest
    missing = weight_files(tmp_path)[-1]
    missing.write_bytes(missing.read_bytes()[:-4] + b"\0\0\0\1")
    assert folder_digest(tmp_path) != digest
    missing.unlink()
    with pytest.raises(CheckpointError, match=missing.name):
        load_weights(network.as_saved, tmp_path)


def test_what_stays_in_float32():
    """Catches: embeddings of t and the output of a diffusers DiT rounded to 16 bits."""
    network = DiffusersDenoiser(config=DIT, input_size=8, num_classes=5)
    lower_products(network, torch.bfloat16)
    block, outer = network.network.transformer_blocks[0], network.network
    assert block.attn1.to_q.weight.dtype == block.norm1.linear.weight.dtype == torch.bfloat16
    embedder = block.norm1.emb.timestep_embedder.linear_1
    assert embedder.weight.dtype == outer.proj_out_2.weight.dtype == torch.float32


@pytest.mark.parametrize("kind", ["dit", "unet", "text"])
def test_traced_as_a_whole(kind, unet_config):
    """Catches: an adapter that torch.compile must leave, which the engine then refuses."""
    config = {"dit": DIT, "unet": UNET | {"num_class_embeds": 6}, "text": unet_config}[kind]
    channels = config["in_channels"]
    network = DiffusersDenoiser(config=config, input_size=8, in_channels=channels, num_classes=5)
    network.eval().requires_grad_(False)
    if kind == "text":
        network.bind({"encoder_hidden_states": torch.randn(6, 7, 12)})
    inputs = torch.randn(2, channels, 8, 8), torch.full((2,), 3.5), torch.tensor([0, 5])
    torch._dynamo.reset()
    traced = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(traced(*inputs), network(*inputs))


def test_patches_are_channels_of_the_network():
    """Catches: squares put together in another order, variance logits mixed into the prediction."""
    config = UNET | {"in_channels": 4, "out_channels": 8}
    torch.manual_seed(0)
    denoiser = DiffusersDenoiser(
        config=config, patch_size=2, input_size=8, in_channels=1, num_classes=5
    ).eval()
    x, t, y = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 900.0]), torch.tensor([0, 1])
    squares = x.reshape(2, 4, 2, 4, 2).permute(0, 2, 4, 1, 3).reshape(2, 4, 4, 4)
    with torch.no_grad():
        found, wanted = denoiser(x, t, y), denoiser.network(squares, t).sample
    assert found.shape == (2, 2, 8, 8)
    for channel in (0, 1):  # the prediction, the logits
        part = wanted[:, 4 * channel : 4 * channel + 4].reshape(2, 2, 2, 4, 4)
        torch.testing.assert_close(found[:, channel], part.permute(0, 3, 1, 4, 2).reshape(2, 8, 8))
