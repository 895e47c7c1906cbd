"""Evaluations with a classifier of random weights: files, in this process, and as a command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from evaluation.features.classifier import Classifier
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.scoring.run import run_evaluation

CLASSES = 10
PATIENCE_S = 600


def pixels(count: int, seed: int, noise: int = 60) -> np.ndarray:
    """Grey images of 4 x 4 tiles of 7 x 7 pixels, and some noise: uint8 (count, 28, 28)."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256 - noise, (count, 4, 4), dtype=np.uint8)
    coarse = tiles.repeat(7, axis=1).repeat(7, axis=2)
    return coarse + rng.integers(0, noise, (count, 28, 28), dtype=np.uint8)


def classifier() -> Classifier:
    """Of random weights, normalised to images of the kind above: else all features are alike."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Classifier(CLASSES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the next batch alone
    with torch.no_grad():
        network.head.weight.mul_(20)
        logits = network(torch.from_numpy(pixels(200, 0))[:, None])
        network.head.bias.sub_(logits.mean(0))  # no class is always the likeliest
    return network


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Folder with classifier.safetensors, samples.npz, baseline.npz (almost the same images),
    real.npz."""
    folder = tmp_path_factory.mktemp("files")
    save_file(classifier().state_dict(), folder / "classifier.safetensors")
    images, labels = pixels(600, 1) // 4 * 3, np.arange(600) % CLASSES
    np.savez(folder / "samples.npz", images, labels)
    np.savez(folder / "baseline.npz", images - images // 16, labels)
    np.savez(folder / "real.npz", pixels(500, 2))
    return folder


@pytest.fixture(scope="session")
def fields(files):
    """Overrides that every evaluation here begins with."""
    return (
        "evaluation=fashion_mnist",
        f"evaluation.weights={files / 'classifier.safetensors'}",
        f"samples={files / 'samples.npz'}",
        f"reference={files / 'real.npz'}",
        "evaluation.groups=10",
        "device=cpu",
    )


@pytest.fixture(scope="session")
def evaluate(fields):
    """evaluate(folder, *overrides): the result of an evaluation in this process."""

    def run(folder: Path, *overrides: str) -> dict:
        output = folder / "result.json"
        run_evaluation(compose("evaluate", [*fields, f"output={output}", *overrides]))
        return json.loads(output.read_text())

    return run


@pytest.fixture(scope="session")
def refusal(fields):
    """refusal(*overrides): the one line that an evaluation ends with."""

    def run(*overrides: str) -> str:
        with pytest.raises(UserError) as caught:
            run_evaluation(compose("evaluate", [*fields, *overrides]))
        message = str(caught.value)
        assert len(message.splitlines()) == 1, message
        return message

    return run


@pytest.fixture(scope="session")
def command(fields, run_script):
    """command(*arguments, processes): the finished command."""

    def run(*arguments: str, processes: int = 0):
        words = (*fields, *arguments)
        return run_script("evaluate.py", *words, processes=processes, timeout=PATIENCE_S)

    return run
