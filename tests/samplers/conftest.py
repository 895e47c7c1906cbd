"""Oracles of the sampler tests: golden numbers, stand-in denoisers, Gaussian data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from oracle import Gaussian

from samplers import Fractions, LinearVP

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def goldens():
    """samplers.npz: numbers of the published implementations, key -> array."""
    with np.load(FIXTURES / "samplers.npz") as archive:
        return {key: archive[key] for key in archive.files}


@pytest.fixture(scope="session")
def allocations():
    """allocation.json: model index per step, from the authors' DiT code."""
    return json.loads((FIXTURES / "allocation.json").read_text())


@pytest.fixture(scope="session")
def stand_ins():
    """The golden pair (small, large): smooth closed-form eps and variance logits."""

    def small(x, t, y):
        s = t / 1000
        eps = x * (0.3 + 0.6 * s) + 0.1 * torch.sin(3 * x + 5 * s)
        return eps, torch.tanh(0.5 * x - s)

    def large(x, t, y):
        return small(0.9 * x, t, y)

    return small, large


@pytest.fixture(scope="session")
def single():
    """Keyword arguments of a sampler with one denoiser."""
    return {"process": LinearVP(), "stitch": Fractions(fractions=[1]), "num_models": 1}


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian()
