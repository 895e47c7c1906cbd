"""The pair of emojis: sizes, classes, and a training on cached latents of an autoencoder."""

import json

import pytest

from evaluation.cost.flops import count_flops
from models.spaces import VAESpace
from tstitch.config.cli import compose, instantiate
from tstitch.pair.spec import build_network, parse_pair
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError
from tstitch.training.run import run_training

TINY = [
    f"pair.denoisers.{name}.network.{size}"
    for name in ("small", "large")
    for size in ("hidden_size=16", "depth=1", "num_heads=2")
]


@pytest.fixture(scope="module")
def section():
    """The pair as configured."""
    return compose("train", ["pair=emoji_dit", "data=emoji"])


@pytest.fixture(scope="module")
def fourfold(build_vae, tmp_path_factory):
    """Overrides for a random autoencoder of 64 x 64 images, as small as it can be."""
    folder = build_vae(tmp_path_factory.mktemp("vae"), levels=4, latent_channels=3)
    return [f"pair.space.vae={folder}", "pair.space.size=8", "pair.space.channels=3"]


def test_small_one_is_a_tenth_of_the_large(section):
    """Catches: a pair with nothing to gain, tokens that are not 64, images of another size."""
    pair = parse_pair(section["pair"])
    small, large = (build_network(pair, spec) for spec in pair.denoisers)
    costs = [count_flops(network.to("meta"), pair.space.shape) for network in (small, large)]
    assert costs[1] >= 10 * costs[0] and 0.09e9 < costs[1] / 2 < 0.13e9
    assert small.pos_embed.shape[1] == large.pos_embed.shape[1] == 64
    assert pair.space.image_size == 64 and pair.space.image_channels == 3


def test_classes_are_those_of_the_data(section):
    """Catches: names in another order, or one that only the one of them has."""
    data = instantiate(section["data"], "data")
    assert data.classes == parse_pair(section["pair"]).class_names


def test_shipped_autoencoder_is_found_from_anywhere(monkeypatch, tmp_path):
    """Catches: a path that holds in the clone alone."""
    monkeypatch.chdir(tmp_path)
    pair = parse_pair(compose("sample", ["pair=emoji_dit"])["pair"])
    assert pair.space.load().digest().startswith("vae:")
    with pytest.raises(ValueError, match="vae=shipped:emoji/none: is no folder of an Auto"):
        VAESpace("shipped:emoji/none", 8)


def test_trained_on_cached_latents_and_sampled(fourfold, tmp_path):
    """Catches: latents that are cached under other names than they are read by; classes lost on
    the way; a denoiser that does not fit its own pair."""
    words = [
        "pair=emoji_dit", "data=emoji", "data.styles=[firefox]", "data.split=test",
        *fourfold, *TINY,
        "train.latents=cache", "train.denoiser=small", "train.decay_steps=0", "train.batch_size=8",
        "train.device=cpu", "train.dtype=fp32", "train.log_every=1", "train.sample_every=2",
        f"train.dir={tmp_path / 'small'}",
    ]  # fmt: skip
    run_training(compose("train", [*words, "train.steps=2"]))
    cached = (tmp_path / "small" / "moments.npy").stat().st_mtime_ns
    run_training(compose("train", [*words, "train.steps=3"]))
    assert (tmp_path / "small" / "moments.npy").stat().st_mtime_ns == cached
    assert json.loads((tmp_path / "small" / "moments.json").read_text())["autoencoder"]
    assert len((tmp_path / "small" / "log.csv").read_text().splitlines()) == 4
    folder = run_sampling(
        compose("sample", [
            "pair=emoji_dit", *fourfold, *TINY, "pair.denoisers.large.weights=random",
            f"pair.denoisers.small.weights={tmp_path / 'small' / 'ema.safetensors'}",
            "run.num_images=4", "run.batch_size=4", "sampler.steps=2", "run.device=cpu",
            "stitch.fraction=0.5", f"run.root={tmp_path}",
        ])
    )  # fmt: skip
    assert (folder / "grid.png").is_file()


def test_images_of_another_side_are_refused(section):
    """Catches: small images that are scaled up without a word."""
    from tstitch.training.dataset import open_data

    with pytest.raises(UserError, match="images are .3, 32, 32., pair emoji_dit takes .3, 64, 64."):
        open_data(section["data"] | {"side": 32}, parse_pair(section["pair"]))
