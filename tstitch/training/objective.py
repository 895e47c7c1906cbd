"""The hybrid objective of iDDPM (arXiv 2102.09672, Eq. 16): noise MSE plus learned variance."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

# The discretised likelihood of 8-bit pixels scaled to [-1, 1].
PIXEL_BIN = 1.0 / 255.0


class Losses(NamedTuple):
    """Means over a batch, scalars; the first two are what is minimised."""

    noise: Tensor  # squared error of the noise, or to the teacher's; weighted by timestep
    bound: Tensor  # variational bound of the learned variance; zero without variance logits
    mse: Tensor  # squared error of the noise, not weighted, without gradient


class HybridObjective(nn.Module):
    """L_simple + lambda L_vlb with lambda = 1/T, as DiT trains (arXiv 2212.09748, Sec. 4).

    With lambda = 1/T the bound weighs one term of it per sample, in bits per dimension; its
    gradient reaches the variance only, never the predicted noise.

    The squared error of an image at timestep t may be weighted by (1 - alpha_bar) / alpha_bar,
    kept between 1 and a limit. An error of the noise moves the predicted x_0 by the root of that
    ratio, which plain L_simple leaves untrained where it is large. It is the truncated SNR
    weighting of progressive distillation (arXiv 2202.00512, Sec. 4), with a limit.

    With a teacher the noise it predicts is learned in place of the noise that was drawn: the
    output distillation of BK-SDM (arXiv 2305.15798, Eq. 2).

    Args:
        betas: float64 (T,) noise schedule.
        noise_weight_limit: largest weight, at least 1; 1 = L_simple as published.
        teacher: (x_t, t, y) -> (N, C, H, W) predicted noise, without gradient.
    """

    def __init__(
        self,
        betas: np.ndarray,
        noise_weight_limit: float = 1.0,
        teacher: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.teacher = teacher
        alpha_bar = np.cumprod(1.0 - betas)
        previous = np.append(1.0, alpha_bar[:-1])
        posterior = betas * (1.0 - previous) / (1.0 - alpha_bar)
        self.num_timesteps = len(betas)
        tables = {
            "signal": np.sqrt(alpha_bar),
            "noise": np.sqrt(1.0 - alpha_bar),
            "inverse_signal": np.sqrt(1.0 / alpha_bar),
            "inverse_noise": np.sqrt(1.0 / alpha_bar - 1.0),
            "mean_x0": betas * np.sqrt(previous) / (1.0 - alpha_bar),
            "mean_xt": (1.0 - previous) * np.sqrt(1.0 - betas) / (1.0 - alpha_bar),
            "log_beta": np.log(betas),
            "log_posterior": np.log(np.append(posterior[1], posterior[1:])),
            "weight": np.clip(1.0 / alpha_bar - 1.0, 1.0, noise_weight_limit),
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table, dtype=torch.float32), persistent=False)

    def forward(
        self, network: Callable[..., Tensor], x_0: Tensor, t: Tensor, y: Tensor, eps: Tensor
    ) -> Losses:
        """The losses of one batch.

        Args:
            network: (x_t, t, y) -> (N, 2C, H, W) or (N, C, H, W).
            x_0: clean latents (N, C, H, W).
            t: timesteps (N,) int64 in 0..T-1.
            y: labels (N,), the null class where dropped.
            eps: standard normal noise, shape of x_0.
        """
        x_t = self._at("signal", t) * x_0 + self._at("noise", t) * eps  # DDPM, Eq. 4
        out = network(x_t, t, y).float()
        eps_pred, logits = out[:, : x_0.shape[1]], out[:, x_0.shape[1] :]
        target = eps if self.teacher is None else self.teacher(x_t, t, y)
        noise = (self._at("weight", t) * (eps_pred - target).square()).mean()
        bound = noise.new_zeros(())
        if logits.shape[1]:
            bound = self._bound(x_0, x_t, t, eps_pred.detach(), logits).mean()
        return Losses(noise, bound, (eps_pred.detach() - eps).square().mean())

    def _bound(self, x_0: Tensor, x_t: Tensor, t: Tensor, eps: Tensor, logits: Tensor) -> Tensor:
        """(N,) one term of the variational bound, bits per dimension (DDPM, Eq. 5)."""
        fraction = (logits + 1) / 2
        log_var = fraction * self._at("log_beta", t) + (1 - fraction) * self._at("log_posterior", t)
        x_0_pred = self._at("inverse_signal", t) * x_t - self._at("inverse_noise", t) * eps
        mean_true = self._posterior_mean(x_0, x_t, t)
        mean_pred = self._posterior_mean(x_0_pred, x_t, t)
        kl = gaussian_kl(mean_true, self._at("log_posterior", t), mean_pred, log_var)
        nll = -discretized_log_likelihood(x_0, mean_pred, 0.5 * log_var)
        term = torch.where(t[:, None, None, None] == 0, nll, kl)
        return term.mean(dim=(1, 2, 3)) / math.log(2.0)

    def _posterior_mean(self, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self._at("mean_x0", t) * x_0 + self._at("mean_xt", t) * x_t  # DDPM, Eq. 7

    def _at(self, name: str, t: Tensor) -> Tensor:
        return getattr(self, name)[t][:, None, None, None]


def gaussian_kl(mean_1: Tensor, log_var_1: Tensor, mean_2: Tensor, log_var_2: Tensor) -> Tensor:
    """KL divergence of diagonal Gaussians per element, in nats."""
    return 0.5 * (
        log_var_2
        - log_var_1
        - 1.0
        + torch.exp(log_var_1 - log_var_2)
        + (mean_1 - mean_2).square() * torch.exp(-log_var_2)
    )


def discretized_log_likelihood(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log probability, in nats, of the 8-bit bin around x in [-1, 1] (DDPM, Eq. 13)."""
    inverse_std = torch.exp(-log_std)
    upper = torch.special.ndtr((x - mean + PIXEL_BIN) * inverse_std)
    lower = torch.special.ndtr((x - mean - PIXEL_BIN) * inverse_std)
    upper = torch.where(x > 0.999, torch.ones_like(upper), upper)
    lower = torch.where(x < -0.999, torch.zeros_like(lower), lower)
    return (upper - lower).clamp(min=1e-12).log()
