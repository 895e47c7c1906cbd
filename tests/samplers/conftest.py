"""Oracles of the sampler tests: golden numbers, stand-in denoisers, Gaussian data."""

import json
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from samplers import Fractions, alphas_cumprod

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
    return {"stitch": Fractions(fractions=[1]), "num_models": 1}


@dataclass(frozen=True)
class Gaussian:
    """Data N(mu, s^2): eps, the probability flow and its marginals are known exactly."""

    mu: float = 0.3
    s: float = 0.5

    def log_alpha(self, t):
        """0.5 log alpha_bar, piecewise linear between the integer timesteps."""
        return np.interp(t, np.arange(1000), 0.5 * np.log(alphas_cumprod()))

    def marginal(self, t):
        """Mean and standard deviation of x_t."""
        alpha = np.exp(self.log_alpha(t))
        return alpha * self.mu, sqrt(alpha**2 * self.s**2 + 1 - alpha**2)

    def denoiser(self, x, t, y):
        """E[eps | x_t = x], no variance logits."""
        mean, std = self.marginal(t)
        return sqrt(1 - np.exp(2 * self.log_alpha(t))) * (x - mean) / std**2, None

    def flow(self, x_T, t):
        """Where the probability flow carries x_T at t = 999 to; t = None is clean data."""
        mean_T, std_T = self.marginal(999)
        mean, std = (self.mu, self.s) if t is None else self.marginal(t)
        return mean + std * (x_T - mean_T) / std_T


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian()
