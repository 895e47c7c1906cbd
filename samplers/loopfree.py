"""DDIM without a loop: x_0 from noises that are predicted all at once (TiUE, arXiv 2505.21960)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

from torch import Tensor

from .checks import check_choice, check_integer, check_list
from .discrete_vp import DiscreteVP
from .process import Process

LEADING, TRAILING = "leading", "trailing"
PLANS = (LEADING, TRAILING)
MOST_SIGNAL = 0.5  # alpha_bar of the first timestep: above, z would be more of x_0 than of noise


@dataclass(frozen=True, slots=True)
class LoopFree:
    """x_0 = latent * z + sum of noises[i] * eps_i: the steps of DDIM as one linear map.

    One step is z' = r z + k eps with r = sqrt(alpha_bar' / alpha_bar) and
    k = sqrt(1 - alpha_bar') - r sqrt(1 - alpha_bar) (DDIM, Eq. 12, eta = 0). Where no eps depends
    on the z of its step, the steps are this sum (TiUE, Eq. 5). Coefficients are float64.
    """

    timesteps: tuple[int, ...]  # of the steps, noisiest first
    latent: float  # of the noise z that all begins with
    noises: tuple[float, ...]  # of each step's prediction

    @classmethod
    def spaced(
        cls,
        process: Process,
        steps: int,
        spacing: str = LEADING,
        *,
        offset: int = 1,
        clean: bool = False,
    ) -> Self:
        """The plan of diffusers' DDIMScheduler; its defaults here are Stable Diffusion's.

        Args:
            process: a chain of betas (DiscreteVP).
            steps: N, an integer from 1 to T.
            spacing: "leading" (offset, T // N + offset, ...: 751, 501, 251, 1 for N = 4) or
                "trailing" (999, 749, 499, 249).
            offset: of leading timesteps, 0 or 1.
            clean: the last step ends at alpha_bar = 1; False = at that of t = 0, as with
                set_alpha_to_one=False.

        Raises:
            ValueError: a value out of range, or a plan that begins next to clean data, as leading
                with N = 1 does: `name=value: what is allowed`.
        """
        chain = _chain(process)
        count = chain.num_timesteps
        check_integer("steps", steps, 1, count)
        check_choice("spacing", spacing, PLANS)
        check_integer("offset", offset, 0, 1)
        stride = count // steps
        if spacing == LEADING:
            timesteps = [k * stride + offset for k in reversed(range(steps))]
        else:
            timesteps = [round(count - k * count / steps) - 1 for k in range(steps)]
        # As the scheduler counts, which is not the next timestep where N does not divide T.
        ends = [t - stride for t in timesteps]
        return cls._along(chain, timesteps, ends, clean)

    @classmethod
    def at(cls, process: Process, timesteps: Sequence[int], *, clean: bool = True) -> Self:
        """The steps from each of the timesteps to the next, and from the last to the end.

        Args:
            process: a chain of betas (DiscreteVP).
            timesteps: integers in 0..T-1, noisiest first: [999], or [751, 501, 251].
            clean: as of `spaced`.

        Raises:
            ValueError: timesteps that do not descend, or begin next to clean data.
        """
        chain = _chain(process)
        values = check_list("timesteps", timesteps, "a list of integers, noisiest first")
        for value in values:
            check_integer("timesteps", value, 0, chain.num_timesteps - 1)
        if not values or any(a <= b for a, b in zip(values, values[1:], strict=False)):
            raise ValueError(f"timesteps={values}: choose one or more, each below the one before")
        return cls._along(chain, values, [*values[1:], -1], clean)

    @classmethod
    def _along(
        cls, chain: DiscreteVP, timesteps: Sequence[int], ends: Sequence[int], clean: bool
    ) -> Self:
        alpha_bar = chain.alphas_cumprod.tolist()
        if alpha_bar[timesteps[0]] > MOST_SIGNAL:
            raise ValueError(
                f"timesteps={[*timesteps]}: at t={timesteps[0]} most is signal, and x_0 would be "
                "the noise itself; begin at a noisier one, e.g. 999 or 751, or choose more steps, "
                "or spacing=trailing"
            )
        last = 1.0 if clean else alpha_bar[0]
        latent, noises = 1.0, list[float]()
        for t, end in zip(timesteps, ends, strict=True):
            now, then = alpha_bar[t], alpha_bar[end] if end >= 0 else last
            ratio = sqrt(then / now)
            own = sqrt(1 - then) - ratio * sqrt(1 - now)
            latent, noises = ratio * latent, [*(ratio * noise for noise in noises), own]
        return cls(tuple(timesteps), latent, tuple(noises))

    def __call__(self, z: Tensor, predictions: Tensor) -> Tensor:
        """x_0, shape and dtype of z.

        Args:
            z: the noise that all began with, (B, *shape).
            predictions: eps of every step, (N, B, *shape), or (N * B, *shape) step-major as
                decoders in parallel give them.

        Raises:
            ValueError: another number of predictions.
        """
        steps = len(self.noises)
        if predictions.numel() != steps * z.numel():
            raise ValueError(
                f"predictions={tuple(predictions.shape)}: give those of {steps} steps for each of "
                f"{len(z)} images"
            )
        x_0 = self.latent * z
        for weight, eps in zip(self.noises, predictions.reshape(steps, *z.shape), strict=True):
            x_0 = x_0 + weight * eps.to(z.dtype)
        return x_0


def _chain(process: Process) -> DiscreteVP:
    if not isinstance(process, DiscreteVP):
        raise ValueError(
            f"process={process}: noises add up to x_0 so on discrete VP processes; choose "
            "LinearVP or ScaledLinearVP"
        )
    return process
