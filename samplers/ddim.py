"""DDIM: denoising diffusion implicit models (Song et al. 2021)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from .base import Sampler, Step
from .checks import check_number
from .discrete_vp import check_discrete
from .process import Process
from .spacing import LDM, SPACINGS, spaced_timesteps
from .stitch import StitchSchedule


@dataclass(frozen=True, slots=True)
class _Coefficients:
    """The numbers of one step, python floats."""

    signal: float  # sqrt(alpha_bar)
    sigma: float  # sqrt(1 - alpha_bar)
    x_0: float  # sqrt(alpha_bar_prev)
    direction: float  # sqrt(1 - alpha_bar_prev - noise**2)
    noise: float  # sigma_t(eta) of the paper; 0 at a last step that ends without noise


def _coefficients(alpha_bar: float, alpha_bar_prev: float, eta: float) -> _Coefficients:
    beta = 1 - alpha_bar / alpha_bar_prev
    noise = eta * sqrt((1 - alpha_bar_prev) / (1 - alpha_bar) * beta)  # DDIM, Eq. 16
    return _Coefficients(
        signal=sqrt(alpha_bar),
        sigma=sqrt(1 - alpha_bar),
        x_0=sqrt(alpha_bar_prev),
        direction=sqrt(max(1 - alpha_bar_prev - noise**2, 0.0)),
        noise=noise,
    )


class DDIM(Sampler):
    """Eq. 12 of the paper on the respaced chain, without clipping x_0.

    Args:
        steps: N, an integer from 2 to T.
        spacing: "respaced", "ddim" for an integer stride, or "ldm" for that of latent diffusion's
            code, which begins at t = 1 and whose last step ends at the noise of t = 0.
        eta: in [0, 1]; 0 = deterministic, 1 = the noise of DDPM's "small" variance.
        process: a chain of betas (DiscreteVP).
        stitch, num_models: as of Sampler.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    uses_variance = False

    def __init__(
        self,
        steps: int,
        spacing: str = "respaced",
        eta: float = 0.0,
        *,
        process: Process,
        stitch: StitchSchedule,
        num_models: int,
    ) -> None:
        chain = check_discrete(process, "DDIM")
        known = (*SPACINGS, LDM)
        timesteps = spaced_timesteps(steps, spacing, chain.num_timesteps, known)
        self.eta = check_number("eta", eta, 0, 1)
        super().__init__(timesteps, process, stitch, num_models)
        _, alpha_bar, alpha_bar_prev = chain.respaced(timesteps)
        if spacing == LDM:
            alpha_bar_prev[-1] = chain.alphas_cumprod[0]
        self._coefficients = tuple(
            _coefficients(now, prev, self.eta)
            for now, prev in zip(alpha_bar.tolist(), alpha_bar_prev.tolist(), strict=True)
        )

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """DDIM, Eq. 12: predicted x_0, direction to x_t, random noise."""
        c = self._coefficients[step.index]
        x_0 = (x - c.sigma * prediction) / c.signal
        x_next = c.x_0 * x_0 + c.direction * prediction
        if c.noise > 0:
            x_next = x_next + c.noise * noise()
        return x_next
