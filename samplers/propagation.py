"""Encoder propagation: steps that share what the encoder saw (Faster Diffusion, 2312.09608).

At the first step of a group, its key step, a denoiser's encoder runs, and its decoder at once for
the timesteps of all of the group's steps. A group never goes past a switch of denoisers: features
of one mean nothing to another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from .base import Sampler, Step
from .checks import check_integer, check_list, check_number, is_integer
from .matching import Matching
from .stitch import Misfit

INJECTED_BELOW = 0.5  # t/T of the steps that take prior noise: 500 of 1000 in the paper's code

Group = Callable[[Tensor, Sequence[float], Tensor], Sequence[tuple[Tensor, Tensor | None]]]
"""(x, timesteps, y) -> the prediction and variance logits or None at each of the timesteps, from
one encoding of x at the first of them."""


@dataclass(frozen=True, slots=True)
class Propagation:
    """Which steps of a sampler's plan share an encoding, as its stitch schedule says."""

    groups: tuple[tuple[Step, ...], ...]  # in order; each begins with its key step
    injection: float  # of the prior noise, for each late step; 0 = none

    @classmethod
    def of(cls, sampler: Sampler) -> Self | None:
        """Of a sampler; None where its schedule propagates nothing.

        Raises:
            Misfit: a ValueError; key steps that do not fit the sampler.
        """
        propagate, injection = sampler.stitch.propagate, sampler.stitch.injection
        try:
            check_number("injection", injection, 0, 1)
            if propagate is None and injection:
                raise ValueError(f"injection={injection}: goes with propagate; give that, or 0")
            if propagate is None:
                return None
            if any(count != 1 for count in sampler.evaluations):
                raise ValueError(
                    f"propagate={propagate}: {type(sampler).__name__} evaluates a step twice; "
                    "choose DDIM, DPMSolver or Euler"
                )
            return cls(_groups(sampler.plan, propagate), float(injection))
        except ValueError as error:
            raise Misfit(str(error)) from error

    @property
    def keys(self) -> tuple[int, ...]:
        """Index of each key step."""
        return tuple(group[0].index for group in self.groups)


def _groups(plan: Sequence[Step], propagate: int | Sequence[int]) -> tuple[tuple[Step, ...], ...]:
    every = is_integer(propagate)
    if every:
        check_integer("propagate", propagate, 1, len(plan))
        listed = set[int]()
    else:
        allowed = "null, a number m (every m-th step is a key), or a list of key steps from 0"
        values = check_list("propagate", propagate, allowed)
        for value in values:
            check_integer("propagate", value, 0, len(plan) - 1)
        listed = set(values)
    groups = list[list[Step]]()
    for step in plan:
        switched = not groups or groups[-1][0].model != step.model
        # Every m-th step is counted from where the denoiser takes over.
        key = len(groups[-1]) == propagate if every and groups else step.index in listed
        if switched or key:
            groups.append([])
        groups[-1].append(step)
    return tuple(map(tuple, groups))


class PropagatedDenoiser:
    """A denoiser that answers a group's steps with what it found at the key step.

    For the trajectories of one batch, walked in order.

    Args:
        group: the network, at all of a group's timesteps.
        matching: how it answers the sampler; a step's own x is what its prediction is told at.
        propagation: the groups, by the sampler's timesteps.
    """

    def __init__(self, group: Group, matching: Matching, propagation: Propagation) -> None:
        self._group = group
        self._times = {steps[0].t: [step.t for step in steps] for steps in propagation.groups}
        self._own_time = matching.own_time
        self._matched = matching(self._answer)
        self._step = 0.0
        self._ready: dict[float, tuple[Tensor, Tensor | None]] = {}

    def __call__(self, x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the sampler asks for it: at a key step encoded from x, between these from there."""
        self._step = t
        return self._matched(x, t, y)

    def _answer(self, x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        # By the sampler's timesteps: beyond the ends of its process the network has one for many.
        if self._step in self._times:
            steps = self._times[self._step]
            found = self._group(x, [self._own_time(step) for step in steps], y)
            self._ready = dict(zip(steps, found, strict=True))
        return self._ready[self._step]


class NoiseInjection(Sampler):
    """A sampler that adds some of the pure noise again before each late step, for texture.

    x + injection * x_T before the steps with t < T/2 (Faster Diffusion's prior noise).

    Args:
        sampler: whose steps are taken.
        injection: in [0, 1]; 0.003 in the paper's code.
        x_T: of the batch.
    """

    def __init__(self, sampler: Sampler, injection: float, x_T: Tensor) -> None:
        self._sampler, self._prior = sampler, injection * x_T
        self.process, self.stitch, self.plan = sampler.process, sampler.stitch, sampler.plan
        self.evaluations, self.prediction = sampler.evaluations, sampler.prediction
        self.uses_variance = sampler.uses_variance

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """The sampler's, and the noise that the next step is to begin with."""
        x_next = self._sampler.update(step, x, prediction, variance, noise, history)
        following = self.plan[step.index + 1 :]
        if following and self.process.time_part(following[0].t) < INJECTED_BELOW:
            x_next = x_next + self._prior
        return x_next
