"""Noise added to data that keeps its scale (EDM: Karras et al. 2022, arXiv 2206.00364)."""

from dataclasses import dataclass

import numpy as np

from .checks import check_integer, check_number
from .process import Process, Times


@dataclass(frozen=True, kw_only=True)
class EDM(Process):
    """x = x_0 + t eps: the timestep is the noise level itself.

    Args:
        sigma_min, sigma_max: the noise levels that networks are evaluated at.
        rho: trajectories are uniform in t^(1/rho) (EDM, Eq. 5).
        num_timesteps: T, which has a part in `progress` alone.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    num_timesteps: int = 1000

    def __post_init__(self) -> None:
        check_integer("num_timesteps", self.num_timesteps, 2, 10**6)
        check_number("sigma_min", self.sigma_min, 1e-9, 1e6)
        check_number("sigma_max", self.sigma_max, self.sigma_min * 1.001, 1e9)
        check_number("rho", self.rho, 1e-2, 1e2)

    @property
    def t_max(self) -> float:
        return self.sigma_max

    @property
    def t_min(self) -> float:
        return self.sigma_min

    @property
    def prior_std(self) -> float:
        return self.sigma_max

    def alpha(self, t: Times) -> Times:
        return np.ones_like(t)

    def sigma(self, t: Times) -> Times:
        return t

    def log_snr(self, t: Times) -> Times:
        with np.errstate(divide="ignore"):  # infinite at t = 0, where trajectories end
            return -np.log(t)

    def time(self, log_snr: Times) -> Times:
        return np.clip(np.exp(-np.asarray(log_snr)), self.sigma_min, self.sigma_max)

    def remaining(self, t: Times) -> Times:
        """Counted in t^(1/rho): in t itself, nearly all steps would be past the end."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return np.clip((t ** (1 / self.rho) - low) / (high - low), 0.0, 1.0)

    def time_part(self, t: Times) -> Times:
        """`remaining`: T is no noise level."""
        return self.remaining(t)

    def uniform_times(self, steps: int) -> np.ndarray:
        """`steps` noise levels from sigma_max to sigma_min, then 0 (EDM, Eq. 5)."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return np.append(np.linspace(high, low, steps) ** self.rho, 0.0)
