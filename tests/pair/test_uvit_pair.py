"""Pairs of a DiT and a U-ViT: what their configuration says, refusals, and a run."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from evaluation.cost.flops import count_flops
from models.uvit import UViT
from samplers import VPSDE, LinearVP, ScaledLinearVP
from tstitch.config.cli import compose
from tstitch.pair.network_cost import network_costs
from tstitch.pair.spec import build_network, load_network, parse_pair
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

RUN = [
    "pair=fashion_mnist_dit_uvit", "pair.denoisers.large.weights=random", "evaluation=none",
    "sampler=dpm_solver", "sampler.steps=4", "run.num_images=4", "run.batch_size=4",
    "run.device=cpu", "engine.threads=1", "stitch.fraction=0.5",
]  # fmt: skip


def section(name, *overrides):
    return compose("sample", [f"pair={name}", *overrides])["pair"]


def test_published_networks_on_their_processes():
    """Catches: a release sampled on another's process, timesteps of U-ViT-H that begin at 0, its
    guidance by DiT's formula or on three channels."""
    pair = parse_pair(section("imagenet256_dit_s_uvit_h"))
    small, large = pair.denoisers
    assert pair.process == large.process == ScaledLinearVP(beta_start=0.00085, beta_end=0.012)
    assert (small.process, small.match) == (LinearVP(), "snr")
    assert (pair.guidance.scale, pair.guidance.channels) == (2.5, 4)
    with torch.device("meta"):
        assert build_network(pair, large).first_timestep == 1
    other = parse_pair(
        section("imagenet256_dit_s_uvit_h", "denoiser@pair.denoisers.large=uvit_l_2")
    )
    assert other.denoisers[1].process == VPSDE(beta_min=0.1, beta_max=20.0)
    with torch.device("meta"):
        assert build_network(other, other.denoisers[1]).first_timestep == 0


def test_the_uvit_of_fashion_mnist_costs_what_the_dit_does():
    """Catches: a U-ViT whose FID is of another budget than that of the DiT it stands for."""
    uvit, dit = (
        network_costs(parse_pair(section(name)))["large"].flops
        for name in ("fashion_mnist_dit_uvit", "fashion_mnist")
    )
    assert uvit == pytest.approx(dit, rel=0.05)


@pytest.mark.parametrize("name", ["imagenet256_dit_s_uvit_h", "fashion_mnist_dit_uvit"])
def test_another_number_of_classes_is_one_line(name):
    """Catches: labels of one network that are the null class of another."""
    config = copy.deepcopy(section(name))
    config["denoisers"]["large"]["network"]["num_classes"] = 7
    with pytest.raises(UserError, match=r"\Apair\.denoisers\.large\.network\.num_classes=7: all "):
        parse_pair(config)


@pytest.mark.parametrize(
    ("argument", "line"),
    [("variant=U-ViT-S/2", "variant=U-ViT-S/2: choose one of U-ViT-L/2"),
     ("first_timestep=2", "first_timestep=2: choose 0 or 1")],
)  # fmt: skip
def test_bad_arguments_are_one_line(argument, line):
    """Catches: a misspelt variant, or a shift of timesteps that no release has, in silence."""
    word = f"pair.denoisers.large.network.{argument}"
    with pytest.raises(UserError, match=rf"\Apair\.denoisers\.large\.network\.{line}[^\n]*\Z"):
        parse_pair(section("imagenet256_dit_s_uvit_h", word))


def small_pair():
    """A pair of eleven classes' tables whose U-ViT is tiny."""
    config = copy.deepcopy(section("fashion_mnist_dit_uvit"))
    config["denoisers"]["large"]["network"] |= {"hidden_size": 48, "num_heads": 2, "depth": 2}
    config["order"] = "as_listed"
    return parse_pair(config)


@pytest.mark.parametrize("classes", [10, 9])
def test_weights_are_read_by_the_published_names(classes, tmp_path):
    """Catches: a released state dict that is renamed, or one of other classes that is taken."""
    pair, path = small_pair(), tmp_path / "uvit.safetensors"
    saved = UViT(
        input_size=28, in_channels=1, patch_size=4, hidden_size=48, num_heads=2, depth=2,
        num_classes=classes,
    )  # fmt: skip
    save_file(saved.state_dict(), path)
    if classes == 10:
        loaded = load_network(pair, pair.denoisers[1], path).state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in saved.state_dict().items())
    else:
        shapes = r"label_emb\.weight: \(10, 48\) in the file, \(11, 48\) in the model"
        with pytest.raises(UserError, match=rf"\A[^\n]*{shapes}[^\n]*\Z"):
            load_network(pair, pair.denoisers[1], path)


def images(folder) -> np.ndarray:
    with np.load(folder / "samples.npz") as archive:
        return archive["arr_0"]


def test_a_run_and_its_matching(tmp_path):
    """Catches: a matching that changes no image, or all large, whose denoisers need none."""

    def sample(*words):
        return images(run_sampling(compose("sample", [*RUN, f"run.root={tmp_path}", *words])))

    by_t = "pair.denoisers.small.match=t"
    assert not np.array_equal(sample(), sample(by_t))
    assert np.array_equal(sample("stitch.fraction=0"), sample("stitch.fraction=0", by_t))


def test_sixteen_bits_through_the_engine(tmp_path):
    """Catches: dtypes that meet in one product where float32 and 16-bit parts touch."""
    words = [*RUN, f"run.root={tmp_path}", "run.dtype=bf16"]
    found = images(run_sampling(compose("sample", words)))
    exact = images(run_sampling(compose("sample", [*words[:-1], "run.dtype=fp32"])))
    assert 0 < np.abs(found.astype(int) - exact).mean() < 2


@pytest.mark.slow
def test_compiled_through_the_engine(tmp_path):
    """Catches: a network that the engine's compiler breaks at."""
    words = [*RUN, f"run.root={tmp_path}"]
    plain = images(run_sampling(compose("sample", words)))
    compiled = images(run_sampling(compose("sample", [*words, "engine.compile=true"])))
    assert np.abs(plain.astype(int) - compiled).max() <= 1


def test_flops_are_those_of_the_layers():
    """Catches: tokens of label and timestep, or skips, that are not computed."""
    with torch.device("meta"):
        network = UViT(input_size=8, in_channels=1, patch_size=4, hidden_size=16, depth=2,
                       num_heads=2, num_classes=3)  # fmt: skip
    tokens, d = 6, 16
    block = tokens * 12 * d * d + 2 * tokens**2 * d
    macs = 3 * block + tokens * 2 * d * d + 4 * 16 * d + tokens * 16 * d
    assert count_flops(network, (1, 8, 8)) == 2 * macs
