"""Schedules in no order of size: spread, random, or given step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from .checks import check_integer, check_list, check_number, is_integer
from .stitch_base import MAX_SEED, MOST_STEPS, TOLERANCE, PlannedSchedule, check_steps, check_two


@dataclass(frozen=True, kw_only=True)
class Interleave(PlannedSchedule):
    """Small steps spread evenly over the trajectory, starting with one; 0.5 alternates strictly.

    After i steps, ceil(i * fraction) of them were small.
    """

    fraction: float = 0.5  # part of the steps that is small, in [0, 1]

    def __post_init__(self) -> None:
        check_number("fraction", self.fraction, 0, 1)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("fraction", self.fraction, num_models)
        small = [ceil(i * self.fraction - TOLERANCE) for i in range(len(progress) + 1)]
        return tuple(1 - (small[i + 1] - small[i]) for i in range(len(progress)))


@dataclass(frozen=True, kw_only=True)
class Decreasing(PlannedSchedule):
    """A random order: the probability of small falls linearly from 1 (first step) to 0 (last).

    It depends on seed and number of steps only: all images and ranks share one order.
    """

    seed: int = 0  # in 0..2**32-1

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, MAX_SEED)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("seed", self.seed, num_models)
        draws = np.random.Generator(np.random.PCG64(self.seed)).random(len(progress))
        last = max(len(progress) - 1, 1)
        return tuple(int(u >= 1 - i / last) for i, u in enumerate(draws))


@dataclass(frozen=True, kw_only=True)
class Random(PlannedSchedule):
    """The small denoiser takes some steps at random (Random-K of TRACK, 2609.30096).

    Every choice of them is as likely. They depend on seed and number of steps only: all images and
    ranks share them.
    """

    steps: int  # of the small denoiser, from 0
    seed: int = 0  # in 0..2**32-1

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 0, MOST_STEPS)
        check_integer("seed", self.seed, 0, MAX_SEED)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("steps", self.steps, num_models)
        check_steps(self.steps, len(progress))
        order = np.random.Generator(np.random.PCG64(self.seed)).permutation(len(progress))
        small = set(order[: self.steps].tolist())
        return tuple(int(i not in small) for i in range(len(progress)))


@dataclass(frozen=True, kw_only=True)
class Explicit(PlannedSchedule):
    """Model indices given one by one, noisiest step first."""

    models: Sequence[int]  # one index in 0..K-1 per step

    def __post_init__(self) -> None:
        allowed = "a list of model indices, one per step, 0 = smallest"
        values = check_list("models", self.models, allowed)
        if not values or not all(is_integer(k) and k >= 0 for k in values):
            raise ValueError(f"models={values}: choose {allowed}")
        object.__setattr__(self, "models", tuple(values))

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        values = list(self.models)
        if len(values) != len(progress):
            raise ValueError(
                f"models={values}: choose {len(progress)} indices, one per step, not {len(values)}"
            )
        if max(values) >= num_models:
            raise ValueError(f"models={values}: choose indices from 0 to {num_models - 1}")
        return tuple(values)
