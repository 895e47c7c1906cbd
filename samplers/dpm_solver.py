"""DPM-Solver and DPM-Solver++, multistep (Lu et al. 2022a, 2022b), orders 1 to 3."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import expm1, inf, isfinite

import numpy as np
from torch import Tensor

from .base import Sampler, Step
from .checks import check_choice, check_integer
from .process import Process, check_process
from .stitch import StitchSchedule

FEW_STEPS = 10
"""Below this number of steps the last ones are lowered in order, as the reference does."""


@dataclass(frozen=True, slots=True)
class _Coefficients:
    """x_next = x * x_t + sum of predictions[j] * m_j, m_0 the newest prediction; floats."""

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
        steps: N, an integer from 1 to T.
        spacing: "time" (as the process counts it) or "logsnr" (uniform in lambda).
        algorithm: "dpmpp" (data prediction) or "dpm" (noise prediction; only where lambda is
            finite at both ends of the trajectory).
        order: 1, 2 or 3, at most `steps`; reached after order - 1 warm-up steps.
        process: of the latents; its trajectory is walked.
        stitch, num_models: as of Sampler.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    uses_variance = False

    def __init__(
        self,
        steps: int,
        spacing: str = "time",
        algorithm: str = "dpmpp",
        order: int = 2,
        *,
        process: Process,
        stitch: StitchSchedule,
        num_models: int,
    ) -> None:
        check_integer("steps", steps, 1, check_process(process).num_timesteps)
        self.algorithm = check_choice("algorithm", algorithm, ("dpmpp", "dpm"))
        self.order = check_integer("order", order, 1, min(3, steps))
        times = process.times(steps, spacing)
        super().__init__(times[:-1].tolist(), process, stitch, num_models)
        self.prediction = "x0" if self.algorithm == "dpmpp" else "eps"
        values = (process.alpha(times), process.sigma(times), process.log_snr(times))
        self._coefficients = self._precompute(*(np.asarray(v).tolist() for v in values))

    def _precompute(
        self, alpha: list[float], sigma: list[float], lam: list[float]
    ) -> tuple[_Coefficients, ...]:
        data = self.algorithm == "dpmpp"
        if not data and not (isfinite(lam[0]) and isfinite(lam[-1])):
            raise ValueError(
                f"algorithm=dpm: not defined where alpha or sigma is 0, as at the ends of "
                f"{self.process}; choose dpmpp"
            )
        rows = []
        for i in range(self.steps):
            h = lam[i + 1] - lam[i]
            order = min(self.order, i + 1)
            if self.steps < FEW_STEPS:
                order = min(order, self.steps - i)
            if lam[i + 1] == inf:  # no difference quotient reaches clean data
                order = 1
            ratios = [(lam[i - j] - lam[i - j - 1]) / h for j in range(order - 1)]
            # DPM-Solver++ Eq. 8 (data prediction); DPM-Solver Eq. 3.4 (noise prediction)
            kept, new = (sigma, alpha) if data else (alpha, sigma)
            weights = _multistep_weights(-h if data else h, ratios)
            predictions = tuple(new[i + 1] * weight for weight in weights)
            rows.append(_Coefficients(kept[i + 1] / kept[i], predictions))
        return tuple(rows)

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """One multistep update; `history` holds the last `order` predictions, newest first."""
        c = self._coefficients[step.index]
        history.insert(0, prediction)
        del history[self.order :]
        x_next = c.x * x
        for weight, past in zip(c.predictions, history, strict=False):
            x_next = x_next + weight * past
        return x_next
