"""The linear noise schedule of DDPM (Ho et al. 2020), in float64 on the host."""

from collections.abc import Sequence

import numpy as np

NUM_TIMESTEPS = 1000
"""T: the number of timesteps that the denoisers were trained on; t runs over 0..T-1."""


def linear_betas() -> np.ndarray:
    """beta_t for t = 0..T-1, float64, shape (T,), from 1e-4 to 0.02 (DDPM, Sec. 4)."""
    return np.linspace(1e-4, 0.02, NUM_TIMESTEPS, dtype=np.float64)


def alphas_cumprod() -> np.ndarray:
    """alpha_bar_t = prod of (1 - beta_s) over s <= t, float64, shape (T,) (DDPM, Eq. 4)."""
    return np.cumprod(1.0 - linear_betas())


def respaced_chain(timesteps: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shorter chain that visits only some timesteps (iDDPM, Sec. 4).

    Args:
        timesteps: descending integers in 0..T-1, noisiest first, N of them.

    Returns:
        betas, alpha_bar, alpha_bar_prev: float64, shape (N,), in the order of `timesteps`.
        beta = 1 - alpha_bar / alpha_bar_prev; the last alpha_bar_prev is 1 (clean data).
    """
    alpha_bar = alphas_cumprod()[list(timesteps)]
    alpha_bar_prev = np.append(alpha_bar[1:], 1.0)
    return 1.0 - alpha_bar / alpha_bar_prev, alpha_bar, alpha_bar_prev
