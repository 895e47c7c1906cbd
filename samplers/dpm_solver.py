"""DPM-Solver and DPM-Solver++, multistep (Lu et al. 2022a, 2022b), orders 1 to 3."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, expm1

import numpy as np
from torch import Tensor

from .base import Sampler, Step
from .checks import check_choice, check_integer
from .noise_schedule import NUM_TIMESTEPS, alphas_cumprod
from .stitch import StitchSchedule

FEW_STEPS = 10
"""Below this number of steps the last ones are lowered in order, as the reference does."""


def _log_alpha(s: np.ndarray) -> np.ndarray:
    """log alpha at continuous times s in [1/T, 1]: piecewise linear, exact at s = (t + 1) / T."""
    grid = np.arange(1, NUM_TIMESTEPS + 1) / NUM_TIMESTEPS
    return np.interp(s, grid, 0.5 * np.log(alphas_cumprod()))


def _log_snr(log_alpha: np.ndarray) -> np.ndarray:
    """lambda = log(alpha / sigma) with sigma^2 = 1 - alpha^2."""
    return log_alpha - 0.5 * np.log(-np.expm1(2 * log_alpha))


def continuous_times(steps: int, spacing: str) -> np.ndarray:
    """steps + 1 times from 1 down to 1/T, float64; uniform in time or in lambda."""
    ends = np.array([1.0, 1.0 / NUM_TIMESTEPS])
    if spacing == "time":
        return np.linspace(ends[0], ends[1], steps + 1)
    first, last = _log_snr(_log_alpha(ends))
    log_alpha = -0.5 * np.logaddexp(0.0, -2 * np.linspace(first, last, steps + 1))
    grid = np.arange(NUM_TIMESTEPS, 0, -1) / NUM_TIMESTEPS
    times = np.interp(log_alpha, _log_alpha(grid), grid)
    times[[0, -1]] = ends
    return times


@dataclass(frozen=True, slots=True)
class _Coefficients:
    """x_next = x * x_t + sum of predictions[j] * m_j, m_0 the newest prediction; floats."""

    alpha: float
    sigma: float
    x: float
    predictions: tuple[float, ...]


def _multistep_weights(z: float, ratios: Sequence[float]) -> tuple[float, ...]:
    """Weights of m_0, m_1, .. in the integral of their interpolation over one step of size h.

    Args:
        z: h for noise prediction, -h for data prediction.
        ratios: r_0, r_1 = earlier step sizes divided by h; their number + 1 is the order.
    """
    phi_1 = expm1(z)
    if not ratios:
        return (-phi_1,)
    r_0 = ratios[0]
    if len(ratios) == 1:  # DPM-Solver++, Algorithm 2: D_1 = (m_0 - m_1) / r_0
        d_1 = phi_1 / 2 / r_0
        return (-phi_1 - d_1, d_1)
    r_1 = ratios[1]
    phi_2 = phi_1 / z - 1
    phi_3 = phi_2 / z - 0.5
    # D_1 = a + r_0 / (r_0 + r_1) * (a - b) and D_2 = (a - b) / (r_0 + r_1), where
    # a = (m_0 - m_1) / r_0 and b = (m_1 - m_2) / r_1: -phi_2 * D_1 - phi_3 * D_2
    w_b = (phi_2 * r_0 + phi_3) / (r_0 + r_1)
    w_a = -phi_2 - w_b
    return (-phi_1 + w_a / r_0, -w_a / r_0 + w_b / r_1, -w_b / r_1)


class DPMSolver(Sampler):
    """Multistep solver in lambda = log(alpha / sigma); past predictions survive a model switch.

    Args:
        steps: N, an integer from 1 to 1000.
        spacing: "time" (uniform in continuous time) or "logsnr" (uniform in lambda).
        algorithm: "dpmpp" (data prediction) or "dpm" (noise prediction).
        order: 1, 2 or 3, at most `steps`; reached after order - 1 warm-up steps.
        stitch: which denoiser runs which step.
        num_models: number of denoisers.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    def __init__(
        self,
        steps: int,
        spacing: str = "time",
        algorithm: str = "dpmpp",
        order: int = 2,
        *,
        stitch: StitchSchedule,
        num_models: int,
    ) -> None:
        check_integer("steps", steps, 1, NUM_TIMESTEPS)
        check_choice("spacing", spacing, ("time", "logsnr"))
        self.algorithm = check_choice("algorithm", algorithm, ("dpmpp", "dpm"))
        self.order = check_integer("order", order, 1, min(3, steps))
        times = continuous_times(steps, spacing)
        timesteps = (times[:-1] - 1 / NUM_TIMESTEPS) * NUM_TIMESTEPS
        super().__init__(timesteps.tolist(), stitch, num_models)
        log_alpha = _log_alpha(times)
        self._coefficients = self._precompute(log_alpha.tolist(), _log_snr(log_alpha).tolist())

    def _precompute(self, log_alpha: list[float], lam: list[float]) -> tuple[_Coefficients, ...]:
        alpha = [exp(a) for a in log_alpha]
        sigma = [exp(a - s) for a, s in zip(log_alpha, lam, strict=True)]
        data = self.algorithm == "dpmpp"
        rows = []
        for i in range(self.steps):
            h = lam[i + 1] - lam[i]
            order = min(self.order, i + 1)
            if self.steps < FEW_STEPS:
                order = min(order, self.steps - i)
            ratios = [(lam[i - j] - lam[i - j - 1]) / h for j in range(order - 1)]
            # DPM-Solver++ Eq. 8 (data prediction); DPM-Solver Eq. 3.4 (noise prediction)
            kept, new = (sigma, alpha) if data else (alpha, sigma)
            weights = _multistep_weights(-h if data else h, ratios)
            predictions = tuple(new[i + 1] * weight for weight in weights)
            rows.append(_Coefficients(alpha[i], sigma[i], kept[i + 1] / kept[i], predictions))
        return tuple(rows)

    def update(
        self,
        step: Step,
        x: Tensor,
        eps: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """One multistep update; `history` holds the last `order` predictions, newest first."""
        c = self._coefficients[step.index]
        prediction = (x - c.sigma * eps) / c.alpha if self.algorithm == "dpmpp" else eps
        history.insert(0, prediction)
        del history[self.order :]
        x_next = c.x * x
        for weight, past in zip(c.predictions, history, strict=False):
            x_next = x_next + weight * past
        return x_next
