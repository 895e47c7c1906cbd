"""What users' files of weights, autoencoders and pairs come to in a run."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.dit import sincos_position_table
from models.spaces import WEIGHTS
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

SMALL, LARGE = "pair.denoisers.small", "pair.denoisers.large"
SWAPPED = (
    "denoiser@pair.denoisers.small=fashion_mnist_large",
    "denoiser@pair.denoisers.large=fashion_mnist_small",
)
LATENTS = (  # the shipped networks, on the latents of an autoencoder
    "pair=imagenet256_s_xl", "pair.classes=3", "pair.space.size=8", "run.num_images=8",
    "denoiser@pair.denoisers.small=fashion_mnist_small", f"{SMALL}.weights=random",
    "denoiser@pair.denoisers.large=fashion_mnist_medium", f"{LARGE}.weights=random",
    "pair.space.dtype=fp32", "sampler.steps=2", "run.device=cpu", "evaluation=none",
)  # fmt: skip


def behind(prefix: str, weights: dict) -> dict:
    return {prefix + key: value for key, value in weights.items()}


@pytest.fixture(scope="module")
def weights(network):
    """weights(name, seed): of a denoiser, as `tiny` stores them."""

    def of(name: str, seed: int) -> dict[str, torch.Tensor]:
        state = network(name, seed).state_dict()
        return {k: v.detach().bfloat16().clone() for k, v in state.items()}

    return of


@pytest.fixture
def latent_words(tmp_path):
    """latent_words(autoencoder, *overrides): of a run in tmp_path/run."""

    def build(autoencoder, *overrides: str) -> list[str]:
        return [
            *LATENTS, f"pair.space.vae={autoencoder}", f"run.dir={tmp_path}/run", *overrides,
        ]  # fmt: skip

    return build


def test_averaged_and_behind_a_prefix(tmp_path, sample, caplog, whole, images, weights):
    """Catches: raw weights sampled without a word, right ones taken for another model's, and an
    entry that is named nowhere."""
    listed = {"model": weights("small", 7), "model_ema": weights("small", 0)}
    torch.save(listed, tmp_path / "small.pt")
    held = behind("_fsdp_wrapped_module.ema_model.", weights("large", 1))
    torch.save({"state_dict": held | {"n_averaged": torch.tensor(9)}}, tmp_path / "large.ckpt")
    words = (f"{SMALL}.weights={tmp_path}/small.pt", f"{LARGE}.weights={tmp_path}/large.ckpt")
    with caplog.at_level("INFO", logger="tstitch"):
        sample(tmp_path / "run", *words)
    assert f"{SMALL}.weights: read entry model_ema of {tmp_path}/small.pt" in caplog.text
    assert np.array_equal(images(tmp_path / "run"), images(whole))
    denoisers = json.loads((tmp_path / "run" / "metrics.json").read_text())["denoisers"]
    assert denoisers["small"]["weights_entry"] == "model_ema"
    entry = "state_dict/_fsdp_wrapped_module.ema_model."
    assert denoisers["large"]["weights_entry"] == entry


def test_list_of_averaged_parameters(tmp_path, sample, whole, images, network, weights):
    """Catches: a list of averaged parameters passed over for the raw ones beside it."""
    names = [name for name, _ in network("small", 0).named_parameters()]
    averaged = weights("small", 0)
    content = {"model": weights("small", 7), "ema": [averaged[name] for name in names]}
    torch.save(content, tmp_path / "c.pt")
    run = sample(tmp_path / "run", f"{SMALL}.weights={tmp_path}/c.pt")
    assert np.array_equal(images(run), images(whole))


def test_two_candidates(tmp_path, refusal, weights):
    """Catches: one of two averages taken, or a refusal after the directory was made."""
    content = {"model": weights("small", 7)}
    content |= {"model_ema1": weights("small", 0), "model_ema2": weights("small", 8)}
    torch.save(content, tmp_path / "c.pt")
    message = refusal(tmp_path / "run", f"{SMALL}.weights={tmp_path}/c.pt")
    assert message.startswith(f"{SMALL}.weights: {tmp_path}/c.pt"), message
    assert "'model_ema1' and 'model_ema2'" in message and not (tmp_path / "run").exists()


def test_directory_made_of_the_raw_weights(tmp_path, sample, refusal, weights):
    """Catches: a run of an earlier version, which read the raw entry, continued with the other;
    one whose file is read as ever refused."""
    path = tmp_path / "c.pt"
    override = f"{SMALL}.weights={path}"
    torch.save({"model": weights("small", 7), "ema": weights("small", 0)}, path)
    stored = (sample(tmp_path / "ever", override) / "config.yaml").read_text()
    assert "entries" not in stored.split("\nconfig:")[0]
    torch.save({"model": weights("small", 7), "model_ema": weights("small", 0)}, path)
    run = sample(tmp_path / "run", override)
    text = (run / "config.yaml").read_text()
    assert "  entries:\n    small: model_ema\n" in text
    (run / "config.yaml").write_text(text.replace("  entries:\n    small: model_ema\n", ""))
    assert 'entries.small: null -> "model_ema"' in refusal(run, override)


def test_quantised_weights(tmp_path, refusal, weights):
    """Catches: integers cast to floats without their scale."""
    state = weights("small", 0)
    state["blocks.0.mlp.fc1.weight"] = (state["blocks.0.mlp.fc1.weight"] * 100).to(torch.int8)
    save_file(state, tmp_path / "c.safetensors")
    message = refusal(tmp_path / "run", f"{SMALL}.weights={tmp_path}/c.safetensors")
    assert message.startswith(f"{SMALL}.weights: {tmp_path}/c.safetensors: blocks.0.mlp.fc1")
    assert "is int8, probably quantised" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path, refusal, weights, value):
    """Catches: a diverged training that is noticed in the images only, as a matter of run.dtype."""
    state = weights("small", 0)
    state["blocks.0.mlp.fc1.bias"][3] = value
    save_file(state, tmp_path / "c.safetensors")
    message = refusal(tmp_path / "run", f"{SMALL}.weights={tmp_path}/c.safetensors")
    assert "blocks.0.mlp.fc1.bias has values that are infinite or not a number" in message


def test_fixed_positions_may_be_missing(tmp_path, sample, images, weights):
    """Catches: a checkpoint refused for a table that is computed anyway, or one that is ignored."""
    state = weights("large", 1)
    table = sincos_position_table(state["pos_embed"].shape[-1], 7)[None]
    made = {}
    for name, held in (("missing", None), ("computed", table), ("other", 30 * table)):
        state.pop("pos_embed", None)
        torch.save(state if held is None else state | {"pos_embed": held}, tmp_path / "c.pt")
        run = sample(tmp_path / name, f"{LARGE}.weights={tmp_path}/c.pt", "run.num_images=8")
        made[name] = images(run)
    assert np.array_equal(made["missing"], made["computed"])
    assert not np.array_equal(made["other"], made["computed"])


def test_denoisers_listed_large_to_small(tmp_path, refusal, sample):
    """Catches: the large denoiser at the noisy steps of the small one, without a word."""
    random = [f"{SMALL}.weights=random", f"{LARGE}.weights=random", "run.num_images=8"]
    random += [f"{SMALL}.network.depth=4", f"{LARGE}.network.depth=5"]  # as shipped
    message = refusal(tmp_path / "run", *SWAPPED, *random)
    assert message.startswith("pair.denoisers: small (5,025,056 parameters"), message
    assert "is listed before large (450,656 parameters" in message
    assert (sample(tmp_path / "run", *SWAPPED, *random, "pair.order=as_listed")).is_dir()
    # As many parameters, but patches of half the side: FLOPs tell.
    finer = [f"{SMALL}.network.{size}" for size in ("hidden_size=256", "patch_size=2")]
    assert "FLOPs) is listed before large" in refusal(tmp_path / "finer", *random, *finer)


def test_decoded_images_that_are_not_finite(tmp_path, latent_words, build_vae):
    """Catches: an autoencoder that overflows in fp16, written as black images."""
    folder = build_vae(tmp_path / "vae")
    state = load_file(folder / WEIGHTS)
    state["decoder.conv_in.weight"] *= 3e4
    state["decoder.mid_block.resnets.0.conv1.weight"] *= 1e3
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        run_sampling(compose("sample", latent_words(folder, "pair.space.dtype=fp16")))
    message = str(caught.value)
    assert message.startswith("pair.space.dtype=fp16: 8 of 8 images"), message
    assert "choose pair.space.dtype=fp32" in message and "\n" not in message
    assert not (tmp_path / "run" / "samples.npz").exists()


def test_constants_of_the_autoencoder(tmp_path, latent_words, build_vae, caplog):
    """Catches: scale and shift of its config.json passed over, or a difference not told."""
    folder = build_vae(tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text())
    config |= {"scaling_factor": 0.3611, "shift_factor": 0.1159}
    (folder / "config.json").write_text(json.dumps(config))
    run_sampling(compose("sample", latent_words(folder)))
    assert "scale=0.3611:shift=0.1159:fp32" in (tmp_path / "run" / "config.yaml").read_text()
    words = latent_words(folder, "pair.space.scale=0.18215", "run.overwrite=true")
    caplog.clear()
    run_sampling(compose("sample", words))
    told = [record.getMessage() for record in caplog.records]
    lines = [line for line in told if line.startswith("pair.space.")]
    assert len(lines) == 1 and "pair.space.scale=0.18215: the config.json" in lines[0], lines
    assert "says 0.3611" in lines[0]


def test_channels_of_the_autoencoder(tmp_path, latent_words, build_vae):
    """Catches: networks of four channels on latents of sixteen."""
    folder = build_vae(tmp_path / "vae", latent_channels=16)
    with pytest.raises(UserError) as caught:
        run_sampling(compose("sample", latent_words(folder)))
    assert str(caught.value).startswith(f"pair.space.channels=4: {folder} has 16"), caught.value
