"""Gaussian data, for which every prediction and the probability flow are known exactly."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from samplers import Denoiser, LinearVP, Matching, Process, Sampler, sample


@dataclass(frozen=True)
class Gaussian:
    """Data N(mu, s^2) under a process; calling it predicts, without variance logits."""

    process: Process = LinearVP()
    prediction: str = "eps"
    mu: float = 0.3
    s: float = 0.5

    def marginal(self, t):
        """Mean and standard deviation of x_t."""
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        return alpha * self.mu, np.hypot(alpha * self.s, sigma)

    def __call__(self, x, t, y):
        """E[prediction | x_t = x]."""
        alpha, sigma = float(self.process.alpha(t)), float(self.process.sigma(t))
        mean, std = self.marginal(t)
        z = (x - float(mean)) / float(std) ** 2
        eps, x_0 = sigma * z, self.mu + alpha * self.s**2 * z
        return {
            "eps": eps,
            "x0": x_0,
            "v": alpha * eps - sigma * x_0,
            "velocity": eps - x_0,
        }[self.prediction], None

    def predicting(self, prediction):
        """The same data, seen by a denoiser of another prediction."""
        return replace(self, prediction=prediction)

    def flow(self, x, start, end):
        """Where the probability flow carries x from t = start to t = end; None is clean data."""
        mean, std = self.marginal(start)
        to_mean, to_std = (self.mu, self.s) if end is None else self.marginal(end)
        return float(to_mean) + float(to_std / std) * (x - float(mean))


def run(sampler: Sampler, denoisers: Sequence[Denoiser], x_T, noise=None):
    """x_0 by denoisers that predict eps on the sampler's process, or say what they predict."""
    asked = []
    for denoiser in denoisers:
        process = getattr(denoiser, "process", sampler.process)
        matching = Matching(sampler, process, getattr(denoiser, "prediction", "eps"))
        asked.append(matching(denoiser))
    return sample(sampler, asked, x_T, None, noise)
