"""DDPM: ancestral sampling (Ho et al. 2020), with learned variance (iDDPM, Nichol et al. 2021)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt

from torch import Tensor

from .base import Sampler, Step
from .checks import check_choice
from .discrete_vp import check_discrete
from .process import Process
from .spacing import spaced_timesteps
from .stitch import StitchSchedule


@dataclass(frozen=True, slots=True)
class _Coefficients:
    """The numbers of one step, python floats; the last step needs no log variances."""

    scale: float  # 1 / sqrt(alpha)
    eps: float  # beta / sqrt(1 - alpha_bar)
    log_beta: float = 0.0  # upper bound of the log variance
    log_posterior: float = 0.0  # lower bound: the variance of q(x_{t-1} | x_t, x_0)


def _coefficients(beta: float, alpha_bar: float, alpha_bar_prev: float) -> _Coefficients:
    scale, eps = 1 / sqrt(1 - beta), beta / sqrt(1 - alpha_bar)
    if alpha_bar_prev == 1:
        return _Coefficients(scale, eps)
    posterior = beta * (1 - alpha_bar_prev) / (1 - alpha_bar)  # DDPM, Eq. 7
    return _Coefficients(scale, eps, log(beta), log(posterior))


class DDPM(Sampler):
    """Ancestral sampling on the respaced chain, without clipping x_0.

    Args:
        steps: N, an integer from 2 to T.
        spacing: "respaced", or "ddim" for an integer stride.
        variance: "small" (posterior) or "large" (beta), for denoisers that predict none; where
            variance logits are given, the learned range is used.
        process: a chain of betas (DiscreteVP).
        stitch, num_models: as of Sampler.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    def __init__(
        self,
        steps: int,
        spacing: str = "respaced",
        variance: str = "small",
        *,
        process: Process,
        stitch: StitchSchedule,
        num_models: int,
    ) -> None:
        chain = check_discrete(process, "DDPM")
        timesteps = spaced_timesteps(steps, spacing, chain.num_timesteps)
        self.variance = check_choice("variance", variance, ("small", "large"))
        super().__init__(timesteps, process, stitch, num_models)
        rows = zip(*(values.tolist() for values in chain.respaced(timesteps)), strict=True)
        self._coefficients = tuple(_coefficients(*row) for row in rows)

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """DDPM, Algorithm 2; the last step is the mean alone."""
        c = self._coefficients[step.index]
        mean = c.scale * (x - c.eps * prediction)  # DDPM, Eq. 11
        if step.index == self.steps - 1:
            return mean
        return mean + self._std(c, variance, x) * noise()

    def _std(self, c: _Coefficients, variance: Tensor | None, x: Tensor) -> Tensor | float:
        if variance is None:
            return sqrt(exp(c.log_beta if self.variance == "large" else c.log_posterior))
        v = (variance.to(x.dtype) + 1) / 2
        log_variance = v * c.log_beta + (1 - v) * c.log_posterior  # iDDPM, Eq. 15
        return (0.5 * log_variance).exp()
