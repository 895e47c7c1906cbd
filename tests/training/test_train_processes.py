"""Training on the denoiser's own process of noise."""

import csv

import pytest
import torch
from safetensors.torch import load_file

from samplers import ScaledLinearVP
from tstitch.runtime.errors import UserError

SCALED = "+pair.denoisers.small.process={_target_: samplers.ScaledLinearVP}"
ONE_PREVIEW = ("train.steps=2", "train.sample_every=2", "train.learning_rate=0", "train.seed=3")


def test_noise_is_that_of_the_process(trained, tmp_path):
    """Catches: images noised as on linear betas for a network that is sampled on others."""
    runs = [
        trained(tmp_path / name, "train.steps=2", *more)
        for name, more in (("linear", ()), ("scaled", (SCALED,)))
    ]
    first, second = (load_file(folder / "ema.safetensors") for folder in runs)
    assert not torch.equal(first["x_embedder.proj.weight"], second["x_embedder.proj.weight"])


def test_bias_is_measured_on_the_process(trained, tmp_path):
    """Catches: errors of x_0 by another process's ratio of noise to signal."""
    folder = trained(tmp_path, SCALED, *ONE_PREVIEW)
    with (folder / "bias.csv").open(newline="") as file:
        errors = {int(row["t"]): float(row["error"]) for row in csv.DictReader(file)}
    # A DiT begins with zeros: all of the noise is missing, times sigma / alpha.
    for t, error in errors.items():
        alpha_bar = ScaledLinearVP().alphas_cumprod[t]
        assert error == pytest.approx((1 / alpha_bar - 1) ** 0.5, rel=0.02)


def test_checkpoint_of_another_process_is_refused(trained, tmp_path):
    """Catches: a training that goes on with other noise than it began with."""
    trained(tmp_path, "train.steps=2")
    with pytest.raises(UserError, match=r"\(process was LinearVP.*, is ScaledLinearVP"):
        trained(tmp_path, "train.steps=3", SCALED)
