"""How a student makes x_0 of noise: one encoder and its decoders, or an encoder in each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from models.unet_split import decode, encode, repeated
from samplers import DDIM, DiscreteVP, Fractions, LoopFree

ONCE, EACH_STEP = "once", "each step"  # where the encoder runs
FREE = "free"
# By arm: timesteps of the decoders, noisiest first, and whether the last step ends at clean data
# (else at the noise of t = 0, as Stable Diffusion's scheduler does).
ONE_ENCODER: dict[str, tuple[tuple[int, ...], bool]] = {
    "O999": ((999,), True),
    "O751": ((751,), True),
    "U": ((751, 501, 251, 1), False),
    "U3": ((751, 501, 251), False),
    "Utr": ((999, 749, 499, 249), True),
}
M4 = "M4"
ARMS = (*ONE_ENCODER, M4, FREE)


class StudentPlan(Protocol):
    """What a U-Net is asked for, to make x_0 of noise."""

    @property
    def timesteps(self) -> tuple[int, ...]:
        """Of the decoders, noisiest first: N of them."""

    @property
    def encoder(self) -> str:
        """ONCE or EACH_STEP."""

    def __call__(self, network: Any, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 (B, C, H, W) and the predicted noises (N, B, C, H, W), float32.

        Args:
            network: a UNet2DConditionModel that predicts noise.
            z: standard normal, (B, C, H, W).
            context: encoder_hidden_states (B, tokens, width).
        """


@dataclass(frozen=True, slots=True)
class OneEncoder:
    """TiUE (arXiv 2505.21960, Sec. 3): the encoder at the first timestep, decoders in one batch."""

    closed_form: LoopFree
    encoder = ONCE

    @property
    def timesteps(self) -> tuple[int, ...]:
        return self.closed_form.timesteps

    def __call__(self, network: Any, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        count, size = len(self.timesteps), len(z)
        times = torch.tensor(self.timesteps, device=z.device)
        features = encode(network, z, times[:1].expand(size), context)
        predicted = decode(
            network,
            repeated(features, count),
            times.repeat_interleave(size),
            context.repeat(count, 1, 1),
        )
        noises = predicted.to(_at_least_float32(z)).unflatten(0, (count, size))
        return self.closed_form(z.to(noises.dtype), noises), noises


@dataclass(frozen=True, slots=True)
class EachStep:
    """Ordinary steps of DDIM without guidance, of which each sees what the one before made."""

    sampler: DDIM
    encoder = EACH_STEP

    @property
    def timesteps(self) -> tuple[int, ...]:
        return tuple(int(step.t) for step in self.sampler.plan)

    def __call__(self, network: Any, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        noises, own, dtype = [], z.dtype, _at_least_float32(z)
        z = z.to(dtype)
        for step in self.sampler.plan:
            t = torch.full((len(z),), int(step.t), device=z.device)
            eps = network(z.to(own), t, context, return_dict=False)[0].to(dtype)
            z = self.sampler.update(step, z, eps, None, z.clone, [])  # eta = 0: no step noise
            noises.append(eps)
        return z, torch.stack(noises)


def _at_least_float32(z: Tensor) -> torch.dtype:
    """float64 in tests; never the 16 bits that a network computes in."""
    return torch.promote_types(z.dtype, torch.float32)


def timesteps_of(
    arm: str, timesteps: Sequence[int] | None, clean: bool | None
) -> tuple[tuple[int, ...], bool]:
    """Timesteps of an arm's decoders, noisiest first, and whether its last step ends at clean data.

    Args:
        arm: one of ARMS.
        timesteps, clean: of FREE; the other arms have their own.
    """
    if arm == FREE:
        return tuple(timesteps or ()), bool(clean)
    return ONE_ENCODER["U" if arm == M4 else arm]


def student_plan(
    process: DiscreteVP, arm: str, timesteps: Sequence[int], clean: bool
) -> StudentPlan:
    """The plan of an arm.

    Args:
        process: of the teacher.
        arm, timesteps, clean: as of `timesteps_of`.

    Raises:
        ValueError: a plan that the process has not, or that begins next to clean data.
    """
    if arm == M4:
        stitch = Fractions(fractions=[1.0])
        return EachStep(DDIM(len(timesteps), "ldm", process=process, stitch=stitch, num_models=1))
    return OneEncoder(LoopFree.at(process, timesteps, clean=clean))
