"""A training that must learn, and what it leaves for sampling."""

import csv
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from samplers import LinearVP
from tstitch.config.cli import compose
from tstitch.data.datasets import idx_folder
from tstitch.pair.spec import load_network, parse_pair
from tstitch.run.generate import run_sampling
from tstitch.training.bias import TIMESTEPS
from tstitch.training.latents import to_float
from tstitch.training.objective import HybridObjective

STEPS = 200
SIZES = [f"pair.denoisers.{name}.network.{size}" for name in ("small", "large")
         for size in ("hidden_size=64", "num_heads=2", "depth=1", "patch_size=4")]  # fmt: skip
SIZES += ["pair.denoisers.small.network.mlp_ratio=4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained):
    """One block of width 64, trained on dark and bright images."""
    return trained(
        tmp_path_factory.mktemp("end_to_end"), *SIZES, f"train.steps={STEPS}",
        "train.batch_size=32", "train.learning_rate=5e-3", "train.warmup_steps=10",
        "train.decay_steps=80", "train.log_every=10", "train.checkpoint_every=50",
        "train.sample_every=100", "train.snapshots=[50,100]", "train.ema_decay=0.95",
    )  # fmt: skip


def mean_error(folder, weights: str, tiny) -> float:
    """MSE of exported weights over the data at fixed draws of t = 300..999."""
    pair = parse_pair(compose("train", tiny(folder, *SIZES))["pair"])
    network = load_network(pair, pair.denoisers[0], weights and folder / weights)
    images, labels = idx_folder(tiny(folder)[1].partition("=")[2]).tensors
    generator = torch.Generator().manual_seed(5)
    t = torch.randint(300, 1000, labels.shape, generator=generator)
    eps = torch.randn(images.shape, generator=generator)
    objective = HybridObjective(LinearVP().betas)
    with torch.no_grad():
        return objective(network, to_float(images), t, labels, eps).mse.item()


def test_files(folder):
    """Catches: a snapshot or a grid that is left out, temporary files left behind."""
    assert {p.name for p in folder.iterdir()} == {
        "checkpoint.pt", "log.csv", "ema.safetensors", "ema-0000050.safetensors",
        "ema-0000100.safetensors", "samples-0000100.png", "samples-0000200.png", "bias.csv",
        ".lock",
    }  # fmt: skip


def test_log_falls(folder):
    """Catches: a gradient of the wrong sign, no learning rate, a frozen network."""
    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(10, STEPS + 1, 10))
    assert float(rows[-1]["mse"]) < 0.5 * float(rows[0]["mse"])
    assert float(rows[-1]["bound"]) < float(rows[0]["bound"])
    assert all(float(row["images_per_s"]) > 0 for row in rows)


def test_bias_is_measured_with_the_samples(folder):
    """Catches: a file without rows, the same weights at every step, a timestep left out."""
    with (folder / "bias.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(r["step"]), int(r["t"])) for r in rows] == [
        (step, t) for step in (100, 200) for t in TIMESTEPS
    ]
    early, late = ([r for r in rows if r["step"] == step][-1] for step in ("100", "200"))
    assert early["error"] != late["error"] and float(late["error"]) < 1


def test_averaged_weights_have_learnt(folder, tiny):
    """Catches: initial weights exported, snapshots that are all the last state."""
    names = ("ema-0000050.safetensors", "ema-0000100.safetensors", "ema.safetensors")
    errors = [mean_error(folder, name, tiny) for name in names]
    assert errors[2] < errors[1] < errors[0] < 0.9
    assert errors[2] < 0.25


def test_exported_weights_are_the_average(folder):
    """Catches: the network exported in place of its average, weights in float32."""
    exported, saved = load_file(folder / "ema.safetensors"), torch.load(folder / "checkpoint.pt")
    assert exported.keys() == saved["ema"].keys() == saved["model"].keys()
    for name, value in exported.items():
        assert torch.equal(value, saved["ema"][name].bfloat16())
    assert any(not torch.equal(saved["ema"][n], saved["model"][n]) for n in exported)


def test_exported_weights_tell_their_origin(folder):
    """Catches: a model card that cannot be checked against the file."""
    with safe_open(folder / "ema-0000100.safetensors", "pt") as file:
        metadata = file.metadata()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", metadata.pop("date"))
    assert metadata == {
        "pair": "fashion_mnist", "denoiser": "small", "steps": "100", "images_seen": "3200",
        "ema_decay": "0.95",
    }  # fmt: skip


def test_preview_shows_the_classes(folder):
    """Catches: samples of unlearnt weights, labels in another order than the images."""
    grid = np.asarray(Image.open(folder / "samples-0000200.png").convert("L")).astype(float)
    assert grid.shape == (4 * 104 + 4, 10 * 88 + 4)
    cells = [[grid[4 + 104 * r + 16 : 4 + 104 * r + 100, 4 + 88 * c : 88 + 88 * c].mean()
              for c in range(2)] for r in range(4)]  # fmt: skip
    assert np.mean(cells, axis=0)[1] > np.mean(cells, axis=0)[0] + 20


def test_weights_go_into_sampling(folder, tmp_path):
    """Catches: a file that scripts/sample.py refuses, a label that samples ignore."""
    path = folder / "ema.safetensors"
    weights = [f"pair.denoisers.{name}.weights={path}" for name in ("small", "large")]
    run = ["sampler.steps=25", "guidance.scale=3", "run.num_images=16", "run.classes=[0,1]"]
    config = compose("sample", [*SIZES, *weights, *run, f"run.dir={tmp_path}", "run.device=cpu"])
    with np.load(run_sampling(config) / "samples.npz") as samples:
        images, labels = samples["arr_0"].astype(float), samples["arr_1"]
    assert images[labels == 1].mean() > images[labels == 0].mean() + 30


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_dtype(tmp_path, trained, dtype):
    """Catches: weights or an average kept in bf16, an autocast that is never entered."""
    trained(tmp_path, f"train.dtype={dtype}")
    saved = torch.load(tmp_path / "checkpoint.pt")
    assert all(v.dtype == torch.float32 for part in ("model", "ema") for v in saved[part].values())
    name = "blocks.0.mlp.fc1.weight"
    reference = torch.load(trained(tmp_path / "again") / "checkpoint.pt")
    assert torch.equal(saved["model"][name], reference["model"][name]) == (dtype == "fp32")


@pytest.mark.slow
def test_compiled_network_learns_the_same(tmp_path, trained):
    """Catches: checkpoints with compiled names, a compiled step that is another step."""
    plain = torch.load(trained(tmp_path / "plain") / "checkpoint.pt")
    compiled = torch.load(trained(tmp_path / "fast", "train.compile=true") / "checkpoint.pt")
    for name, value in plain["ema"].items():
        torch.testing.assert_close(compiled["ema"][name], value, atol=1e-4, rtol=1e-3)
