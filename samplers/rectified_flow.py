"""Rectified flow: straight lines from data to noise (Liu et al. 2022; Lipman et al. 2022)."""

from dataclasses import dataclass

import numpy as np

from .checks import check_integer, check_number
from .process import Process, Times


@dataclass(frozen=True, kw_only=True)
class RectifiedFlow(Process):
    """x = (1 - sigma) x_0 + sigma eps; networks take t = T sigma and predict eps - x_0.

    Args:
        shift: of the trajectory towards noise, sigma = shift u / (1 + (shift - 1) u) of uniform u
            (SD3, arXiv 2403.03206, Eq. 23); 1 = none, 3 in SD3.
        num_timesteps: T, at least 2.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    shift: float = 1.0
    num_timesteps: int = 1000
    prediction = "velocity"

    def __post_init__(self) -> None:
        check_integer("num_timesteps", self.num_timesteps, 2, 10**6)
        check_number("shift", self.shift, 1e-3, 1e3)

    @property
    def t_max(self) -> float:
        return float(self.num_timesteps)

    @property
    def t_min(self) -> float:
        return 0.0

    def alpha(self, t: Times) -> Times:
        return 1.0 - self.sigma(t)

    def sigma(self, t: Times) -> Times:
        return t / self.num_timesteps

    def log_snr(self, t: Times) -> Times:
        sigma = self.sigma(t)
        with np.errstate(divide="ignore"):  # infinite at both ends
            return np.log1p(-sigma) - np.log(sigma)

    def time(self, log_snr: Times) -> Times:
        return self.num_timesteps * np.exp(-np.logaddexp(0.0, log_snr))

    def uniform_times(self, steps: int) -> np.ndarray:
        """Uniform from T to 0, then shifted."""
        u = np.linspace(1.0, 0.0, steps + 1)
        return self.num_timesteps * (self.shift * u / (1 + (self.shift - 1) * u))

    def line(self, t: Times) -> tuple[Times, Times]:
        return np.ones_like(t), self.sigma(t)
