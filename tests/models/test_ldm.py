"""LDM's U-Nets and VQ decoder against the outputs and names of the reference implementation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoints import CheckpointError, load_weights
from models.ldm import LDMDenoiser
from models.ldm_names import renamed, unet_names
from models.vq_space import VQSpace

FIXTURES = Path(__file__).parents[1] / "fixtures"
META = json.loads((FIXTURES / "ldm_meta.json").read_text())
CLOSE = {"atol": 2e-5, "rtol": 1e-4}
UNETS = {
    "ldm_a": {"model_channels": 32, "context_dim": 24, "num_head_channels": 16},
    "ldm_b": {
        "model_channels": 32, "context_dim": 16, "num_head_channels": 64, "channel_mult": [1, 2],
        "num_res_blocks": 1, "attention_resolutions": [2],
    },
}  # fmt: skip
PUBLISHED = {
    "LDM-S": {"model_channels": 64, "context_dim": 256},
    "LDM": {"model_channels": 256, "context_dim": 512},
}
VQ = {"size": 8, "codebook": 16, "widths": [32, 64], "layers": 1, "attention_sides": [8]}
UNET, EMBEDDING = "model.diffusion_model.", "cond_stage_model.embedding.weight"


@pytest.fixture(scope="module")
def goldens():
    with np.load(FIXTURES / "ldm_networks.npz") as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def filled(name: str) -> dict[str, torch.Tensor]:
    """The weights behind the goldens, by the names of LDM's code."""
    generator, shapes = torch.Generator().manual_seed(META[name]["seed"]), META[name]["keys"]
    return {key: torch.randn(shapes[key], generator=generator) * 0.05 for key in sorted(shapes)}


def checkpoint(name: str, goldens) -> dict[str, torch.Tensor]:
    """A state dict of LDM's LatentDiffusion, with some of what it holds besides."""
    state = {UNET + key: value for key, value in filled(name).items()}
    other = {"betas": torch.zeros(3), "first_stage_model.encoder.conv_in.bias": torch.zeros(3)}
    return state | other | {EMBEDDING: goldens[f"{name}/embedding"]}


def small_unet(name: str, goldens, **options) -> LDMDenoiser:
    channels = goldens[f"{name}/x"].shape[1]
    own = {"null_condition": "zero", "in_channels": channels, "input_size": 8, "num_classes": 10}
    return LDMDenoiser(**UNETS[name] | own | options)


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_unet_computes_as_the_reference(name, wrapped, goldens, tmp_path):
    """Catches: a module at another one's place, heads in another order, an epsilon that differs."""
    network = small_unet(name, goldens)
    state = checkpoint(name, goldens)
    torch.save({"state_dict": state, "epoch": 7} if wrapped else state, tmp_path / "ldm.pt")
    load_weights(network, tmp_path / "ldm.pt")
    x, t, y = (goldens[f"{name}/{part}"] for part in "xty")
    with torch.no_grad():
        torch.testing.assert_close(network(x, t.float(), y), goldens[f"{name}/out"], **CLOSE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_and_sizes_of_the_published_unets(name):
    """Catches: a parameter of the release that nothing is made of, or one that it does not have."""
    with torch.device("meta"):
        network = LDMDenoiser(**PUBLISHED[name])
        theirs = {key: torch.empty(shape) for key, shape in META[name]["keys"].items()}
    own = network.network.state_dict()
    found = renamed(theirs, unet_names(3, 2, [True] * 3))
    assert {key: value.shape for key, value in found.items()} == {
        k: v.shape for k, v in own.items()
    }
    count = sum(parameter.numel() for parameter in network.network.parameters())
    assert count == META[name]["parameters"]
    assert network.embedding.weight.shape == (1000, PUBLISHED[name]["context_dim"])


def test_averaged_weights_are_read_if_asked_for(goldens, tmp_path):
    """Catches: raw weights where averaged ones are meant, and the other way round."""
    path, state = tmp_path / "ldm.pt", checkpoint("ldm_b", goldens)
    raw = {k: v for k, v in state.items() if k.startswith(UNET)}
    averaged = {
        "model_ema." + k.removeprefix("model.").replace(".", ""): 2 * v for k, v in raw.items()
    }
    torch.save({"state_dict": state | averaged | {"model_ema.decay": torch.tensor(0.9)}}, path)
    for ema, factor in ((False, 1), (True, 2)):
        network = small_unet("ldm_b", goldens, ema=ema)
        load_weights(network, path)
        torch.testing.assert_close(
            network.network.conv_in.weight, factor * raw[UNET + "input_blocks.0.0.weight"]
        )
        torch.testing.assert_close(network.embedding.weight, goldens["ldm_b/embedding"])


def test_own_checkpoints_are_read_as_they_are(goldens, tmp_path):
    """Catches: a network trained here that can be saved and not loaded."""
    network = small_unet("ldm_b", goldens)
    torch.save({"model": network.state_dict()}, tmp_path / "own.pt")
    assert load_weights(small_unet("ldm_b", goldens), tmp_path / "own.pt") == "model"


@pytest.mark.parametrize(
    ("left_out", "options", "words"),
    [
        (EMBEDDING, {}, (EMBEDDING, "whole checkpoint")),
        ("nothing", {"ema": True}, ("no averaged weights", "set ema=false")),
        ("middle_block.1", {}, ("missing", "part of the network")),
        ("nothing", {"num_classes": 9}, ("embedding.weight: (10, 16) in the file, (9, 16)",)),
        (
            "nothing",
            {"null_condition": "learned"},
            ("embedding.weight: (10, 16) in the file, (11, 16)",),
        ),
    ],
)
def test_checkpoints_that_do_not_fit(left_out, options, words, goldens, tmp_path):
    """Catches: a traceback, or images of a random class embedding."""
    state = checkpoint("ldm_b", goldens)
    torch.save({k: v for k, v in state.items() if left_out not in k}, tmp_path / "ldm.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(small_unet("ldm_b", goldens, **options), tmp_path / "ldm.pt")
    assert all(word in str(caught.value) for word in words), caught.value
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"null_condition": "none"}, "null_condition=none: choose one of zero, learned, noise"),
        ({"ema": "yes"}, "ema=yes: "),
        ({"model_channels": 48}, "model_channels=48: "),
        ({"num_head_channels": 5}, "num_head_channels=5: "),
        ({"channel_mult": 2}, "channel_mult=2: "),
        ({"input_size": 7}, "input_size=7: needs a multiple of 2"),
    ],
)
def test_arguments_that_no_network_has(options, message, goldens):
    """Catches: a traceback of diffusers in place of the field's name."""
    with pytest.raises(ValueError) as caught:
        small_unet("ldm_b", goldens, **options)
    assert str(caught.value).startswith(message)


def test_null_conditions(goldens):
    """Catches: the last class in place of the null one, one image's noise for another."""
    x, y = torch.zeros(3, 3, 8, 8), torch.tensor([10, 2, 10])
    zero, learned, noise = (
        small_unet("ldm_b", goldens, null_condition=kind) for kind in ("zero", "learned", "noise")
    )
    given = torch.rand(3, 16)
    for network in (zero, learned, noise):
        seen = {}
        network.network.forward = lambda x, t, *, seen=seen, **inputs: (seen.update(inputs) or x,)
        network(x, torch.ones(3), y, *([given] if network is noise else []))
        context, own = seen["encoder_hidden_states"][:, 0], network.embedding.weight
        assert seen["encoder_hidden_states"].shape == (3, 1, 16)
        null = {zero: torch.zeros(3, 16), learned: own[-1].expand(3, -1), noise: given}[network]
        wanted = torch.stack([null[0], own[2], null[2]])
        assert torch.equal(context, wanted)
    assert (zero.null_draw, learned.null_draw, noise.null_draw) == ((), (), (16,))
    assert len(learned.embedding.weight) == 11


def vq_state(goldens) -> dict[str, torch.Tensor]:
    return {f"decoder.{key}": value for key, value in filled("vq_a").items()} | {
        "quantize.embedding.weight": goldens["vq_a/codebook"],
        "post_quant_conv.weight": goldens["vq_a/post_w"],
        "post_quant_conv.bias": goldens["vq_a/post_b"],
    }


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_vq_decodes_as_the_reference(prefix, goldens, tmp_path):
    """Catches: latents that are not quantised, levels in the wrong order, a missing convolution."""
    state = {prefix + key: value for key, value in vq_state(goldens).items()}
    state |= {
        prefix + "encoder.conv_in.weight": torch.zeros(2),
        UNET + "out.2.bias": torch.zeros(2),
    }
    torch.save({"state_dict": state}, tmp_path / "vq.ckpt")
    space = VQSpace(str(tmp_path / "vq.ckpt"), **VQ)
    h, book, index = (goldens[f"vq_a/{part}"] for part in ("h", "codebook", "index"))
    entries = space.quantized(h)
    assert torch.equal(entries, book[index].reshape(2, 8, 8, 4).permute(0, 3, 1, 2))
    pixels = space.load()._network.decode(entries, force_not_quantize=True).sample
    torch.testing.assert_close(pixels, goldens["vq_a/out"], **CLOSE)
    images, finite = space.decode_checked(h)
    levels = (127.5 * goldens["vq_a/out"] + 128).clamp(0, 255).floor().permute(0, 2, 3, 1)
    assert images.shape == (2, 16, 16, 3) and finite.all() and space.image_size == 16
    assert (images.int() - levels.int()).abs().max() <= 1
    assert torch.equal(VQSpace(space.vq, **VQ, scale=2.0).decode(2 * h), images)
    assert torch.equal(VQSpace(space.vq, **VQ, chunk=1).decode(h), images)


def test_latents_that_are_not_finite_are_told(tmp_path):
    """Catches: a nearest entry, which is always finite, that hides them."""
    latents = torch.zeros(2, 4, 8, 8)
    latents[1, 0, 0, 0] = float("nan")
    assert VQSpace("random", **VQ).decode_checked(latents)[1].tolist() == [True, False]


def test_vq_of_another_size(goldens, tmp_path):
    """Catches: a traceback, or images through part of a decoder."""
    path = tmp_path / "vq.pt"
    torch.save(vq_state(goldens), path)
    for other in ({"codebook": 32}, {"widths": [32, 32]}, {"layers": 2}, {"attention_sides": []}):
        with pytest.raises(ValueError) as caught:
            VQSpace(str(path), **VQ | other).load()
        text = str(caught.value)
        assert text.startswith(f"vq={path}") and "does not fit" in text and "\n" not in text
    torch.save(filled("ldm_b"), path)
    with pytest.raises(ValueError, match="has no VQ autoencoder"):
        VQSpace(str(path), **VQ).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vq": "/nowhere.pt"}, "vq=/nowhere.pt: is no file"),
        ({"codebook": 0}, "codebook=0: "),
        ({"widths": 8}, "widths=8: "),
        ({"widths": [32, 0]}, "widths=0: "),
        ({"widths": [33, 64]}, "widths=(33, 64): no such autoencoder"),
        ({"attention_sides": [9]}, "attention_sides=[9]: levels have sides [16, 8]"),
        ({"scale": 0}, "scale=0: "),
        ({"dtype": "fp64"}, "dtype=fp64: "),
    ],
)
def test_vq_arguments(options, message):
    """Catches: a bad value that is only found once the weights are there, or as a traceback."""
    with pytest.raises(ValueError) as caught:
        VQSpace(**{"vq": "random"} | VQ | options).load()
    assert str(caught.value).startswith(message)
