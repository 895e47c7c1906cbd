"""Variance preserving chains of T betas: linear (DDPM, DiT), scaled linear (LDM, SD)."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .checks import check_integer, check_number
from .process import Process, Times, VariancePreserving

NUM_TIMESTEPS = 1000
"""T of nearly all published networks; t runs over 0..T-1."""


@dataclass(frozen=True, kw_only=True)
class DiscreteVP(VariancePreserving):
    """beta_t for t = 0..T-1; between the timesteps log alpha is piecewise linear (DPM-Solver).

    Args:
        beta_start, beta_end: the first and the last beta, in (0, 1).
        num_timesteps: T, at least 2.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    beta_start: float
    beta_end: float
    num_timesteps: int = NUM_TIMESTEPS

    def __post_init__(self) -> None:
        check_integer("num_timesteps", self.num_timesteps, 2, 10**6)
        check_number("beta_start", self.beta_start, 1e-12, 1 - 1e-6)
        check_number("beta_end", self.beta_end, self.beta_start, 1 - 1e-6)

    @property
    @abstractmethod
    def betas(self) -> np.ndarray:
        """beta_t for t = 0..T-1, float64, shape (T,)."""

    @cached_property
    def alphas_cumprod(self) -> np.ndarray:
        """alpha_bar_t = prod of (1 - beta_s) over s <= t, float64, shape (T,) (DDPM, Eq. 4)."""
        return np.cumprod(1.0 - self.betas)

    @property
    def t_max(self) -> float:
        return self.num_timesteps - 1.0

    @property
    def t_min(self) -> float:
        return 0.0

    @cached_property
    def _grid(self) -> np.ndarray:
        """Continuous times s = (t + 1) / T of the table."""
        return np.arange(1, self.num_timesteps + 1) / self.num_timesteps

    @cached_property
    def _log_alphas(self) -> np.ndarray:
        return 0.5 * np.log(self.alphas_cumprod)

    def _timestep(self, s: Times) -> Times:
        """The network's timestep at continuous time s in [1/T, 1] (DPM-Solver, Sec. 3.4)."""
        return (s - 1 / self.num_timesteps) * self.num_timesteps

    def log_alpha(self, t: Times) -> Times:
        return np.interp((np.asarray(t) + 1) / self.num_timesteps, self._grid, self._log_alphas)

    def time_of_log_alpha(self, log_alpha: Times) -> Times:
        return self._timestep(np.interp(log_alpha, self._log_alphas[::-1], self._grid[::-1]))

    def uniform_times(self, steps: int) -> np.ndarray:
        """Uniform from T-1 to 0."""
        s = np.linspace(1.0, 1.0 / self.num_timesteps, steps + 1)
        return np.asarray(self._timestep(s))

    def respaced(self, timesteps: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The shorter chain that visits only some timesteps (iDDPM, Sec. 4).

        Args:
            timesteps: descending integers in 0..T-1, noisiest first, N of them.

        Returns:
            betas, alpha_bar, alpha_bar_prev: float64, shape (N,), in the order of `timesteps`.
            beta = 1 - alpha_bar / alpha_bar_prev; the last alpha_bar_prev is 1 (clean data).
        """
        alpha_bar = self.alphas_cumprod[list(timesteps)]
        alpha_bar_prev = np.append(alpha_bar[1:], 1.0)
        return 1.0 - alpha_bar / alpha_bar_prev, alpha_bar, alpha_bar_prev


@dataclass(frozen=True, kw_only=True)
class LinearVP(DiscreteVP):
    """Betas in equal steps: DDPM, Sec. 4; ADM and DiT keep it."""

    beta_start: float = 1e-4
    beta_end: float = 0.02

    @property
    def betas(self) -> np.ndarray:
        return np.linspace(self.beta_start, self.beta_end, self.num_timesteps, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ScaledLinearVP(DiscreteVP):
    """Square roots of the betas in equal steps: latent diffusion and Stable Diffusion.

    LDM's ImageNet networks have beta_start=0.0015, beta_end=0.0195.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012

    @property
    def betas(self) -> np.ndarray:
        first, last = np.sqrt([self.beta_start, self.beta_end])
        return np.linspace(first, last, self.num_timesteps, dtype=np.float64) ** 2


def check_discrete(process: Process, sampler: str) -> DiscreteVP:
    """The process, if it is a chain of betas; ValueError otherwise."""
    if not isinstance(process, DiscreteVP):
        raise ValueError(
            f"process={process}: {sampler} is defined for discrete VP processes (LinearVP, "
            "ScaledLinearVP); choose DPMSolver, Euler or Heun"
        )
    return process
