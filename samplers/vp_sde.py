"""The variance preserving SDE in continuous time (Song et al. 2021, arXiv 2011.13456)."""

from dataclasses import dataclass

import numpy as np

from .checks import check_integer, check_number
from .process import Times, VariancePreserving


@dataclass(frozen=True, kw_only=True)
class VPSDE(VariancePreserving):
    """beta(s) = beta_min + s (beta_max - beta_min) on s in [0, 1]; networks take t = (T - 1) s.

    Trajectories end at s_min: the score grows without bound towards s = 0.

    Args:
        beta_min, beta_max: of continuous time; 0.1 and 20 are the limit of DDPM's chain.
        s_min: in (0, 1).
        num_timesteps: T, at least 2.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    s_min: float = 1e-3
    num_timesteps: int = 1000

    def __post_init__(self) -> None:
        check_integer("num_timesteps", self.num_timesteps, 2, 10**6)
        check_number("beta_min", self.beta_min, 1e-6, 1e3)
        check_number("beta_max", self.beta_max, self.beta_min, 1e3)
        check_number("s_min", self.s_min, 1e-6, 0.5)

    @property
    def t_max(self) -> float:
        return self.num_timesteps - 1.0

    @property
    def t_min(self) -> float:
        return self.t_max * self.s_min

    def log_alpha(self, t: Times) -> Times:
        """Eq. 33 of the paper."""
        s = t / self.t_max
        return -0.25 * s**2 * (self.beta_max - self.beta_min) - 0.5 * s * self.beta_min

    def time_of_log_alpha(self, log_alpha: Times) -> Times:
        # The positive root of a quadratic, in the form that does not cancel near s = 0.
        c = -4 * np.maximum(log_alpha, self.log_alpha(self.t_max))
        root = np.sqrt(self.beta_min**2 + (self.beta_max - self.beta_min) * c)
        return self.t_max * np.maximum(c / (self.beta_min + root), self.s_min)

    def uniform_times(self, steps: int) -> np.ndarray:
        """Uniform from s = 1 to s_min."""
        return np.linspace(self.t_max, self.t_min, steps + 1)
