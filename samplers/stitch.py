"""Stitch schedules: which denoiser runs which step of a trajectory (T-Stitch, Sec. 3 and Table 7).

A schedule is resolved once, on the host, before anything is sampled. Model 0 is the smallest.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

import numpy as np

from .checks import check_choice, check_integer, check_list, check_number, is_integer, is_number

AXES = ("time", "step")
TOLERANCE = 1e-7
"""Far above float64 rounding, far below 1/T: comparisons are as exact as with rationals."""


class StitchSchedule(ABC):
    """Assigns a denoiser to every step. To add a kind: subclass it and write a yaml for it."""

    @abstractmethod
    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        """Model index of each step, in 0..num_models-1, 0 the smallest.

        Args:
            progress: of each step along the time axis, rising to at most 1 (Process.progress).
            num_models: number of denoisers, at least 1.

        Raises:
            ValueError: if the schedule does not fit these steps or this number of models.
        """


def _split(progress: Sequence[float], boundaries: Sequence[float], axis: str) -> tuple[int, ...]:
    """The first k with progress <= boundaries[k]; past all of them, len(boundaries)."""
    if axis == "step":
        progress = [(i + 1) / len(progress) for i in range(len(progress))]
    limits = [boundary + TOLERANCE for boundary in boundaries]
    return tuple(bisect_left(limits, p) for p in progress)


def _check_two(name: str, value: object, num_models: int) -> None:
    if num_models != 2:
        raise ValueError(
            f"{name}={value!r}: this stitch schedule takes exactly two denoisers, not "
            f"{num_models}; use Fractions (stitch=fractions)"
        )


@dataclass(frozen=True, kw_only=True)
class Fraction(StitchSchedule):
    """The small denoiser takes the first `fraction` of the trajectory, the large one the rest.

    A step is small if its progress (1 - t/T) is <= fraction; with axis "step", if (i+1)/N is.
    """

    fraction: float  # in [0, 1]; 0 = large only, 1 = small only
    axis: str = "time"  # "time" or "step"

    def __post_init__(self) -> None:
        check_number("fraction", self.fraction, 0, 1)
        check_choice("axis", self.axis, AXES)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        _check_two("fraction", self.fraction, num_models)
        return _split(progress, [self.fraction], self.axis)


@dataclass(frozen=True, kw_only=True)
class Fractions(StitchSchedule):
    """Any number K of denoisers, small to large: model k takes the k-th fraction."""

    fractions: Sequence[float]  # K numbers in [0, 1] with sum 1, or K-1: the last is the rest
    axis: str = "time"  # "time" or "step"

    def __post_init__(self) -> None:
        allowed = "a list of numbers from 0 to 1 with sum 1 (the last may be left out)"
        values = check_list("fractions", self.fractions, allowed)
        in_range = all(is_number(f) and 0 <= f <= 1 for f in values)
        if not in_range or sum(values) > 1 + TOLERANCE:
            raise ValueError(f"fractions={values}: choose {allowed}")
        check_choice("axis", self.axis, AXES)
        object.__setattr__(self, "fractions", tuple(values))

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        values = list(self.fractions)
        if len(values) not in (num_models, num_models - 1):
            raise ValueError(
                f"fractions={values}: choose {num_models} numbers with sum 1 for {num_models} "
                f"denoisers (the last may be left out)"
            )
        if len(values) == num_models and abs(sum(values) - 1) > TOLERANCE:
            raise ValueError(f"fractions={values}: the sum is {sum(values):g}; it must be 1")
        return _split(progress, list(accumulate(values[: num_models - 1])), self.axis)


@dataclass(frozen=True, kw_only=True)
class LargeToSmall(Fraction):
    """The reverse order: large takes the first 1 - fraction of the trajectory, small the rest."""

    fraction: float = 0.5  # of the small denoiser, in [0, 1]

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        _check_two("fraction", self.fraction, num_models)
        return tuple(1 - k for k in _split(progress, [1 - self.fraction], self.axis))


@dataclass(frozen=True, kw_only=True)
class Interleave(StitchSchedule):
    """Small steps spread evenly over the trajectory, starting with one; 0.5 alternates strictly.

    After i steps, ceil(i * fraction) of them were small.
    """

    fraction: float = 0.5  # part of the steps that is small, in [0, 1]

    def __post_init__(self) -> None:
        check_number("fraction", self.fraction, 0, 1)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        _check_two("fraction", self.fraction, num_models)
        small = [ceil(i * self.fraction - TOLERANCE) for i in range(len(progress) + 1)]
        return tuple(1 - (small[i + 1] - small[i]) for i in range(len(progress)))


@dataclass(frozen=True, kw_only=True)
class Decreasing(StitchSchedule):
    """A random order: the probability of small falls linearly from 1 (first step) to 0 (last).

    It depends on seed and number of steps only: all images and ranks share one order.
    """

    seed: int = 0  # in 0..2**32-1

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0, 2**32 - 1)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        _check_two("seed", self.seed, num_models)
        draws = np.random.Generator(np.random.PCG64(self.seed)).random(len(progress))
        last = max(len(progress) - 1, 1)
        return tuple(int(u >= 1 - i / last) for i, u in enumerate(draws))


@dataclass(frozen=True, kw_only=True)
class Explicit(StitchSchedule):
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


@dataclass(frozen=True, kw_only=True)
class Budget(StitchSchedule):
    """The best schedule that a time allows (T-Stitch, App. A.1): one of the two targets is given.

    It is resolved by measured times: `spend` gives the steps of each denoiser, and `models` is
    then filled in.
    """

    speedup: float | None = None  # over the largest denoiser alone, at least 1
    ms_per_image: float | None = None  # of one process, denoisers alone
    models: Sequence[int] | None = None  # the resolved schedule, noisiest step first

    def __post_init__(self) -> None:
        if (self.speedup is None) == (self.ms_per_image is None):
            raise ValueError(
                f"speedup={self.speedup}: give either speedup or ms_per_image, the other null"
            )
        if self.speedup is not None:
            check_number("speedup", self.speedup, 1, 1e6)
        if self.ms_per_image is not None:
            check_number("ms_per_image", self.ms_per_image, 0, 1e9)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        if self.models is None:
            raise ValueError(
                "models=None: a budget is resolved by scripts/sample.py alone; choose "
                "stitch=fraction or fractions here"
            )
        return Explicit(models=self.models).assign(progress, num_models)


def spend(seconds: Sequence[float], evaluations: Sequence[int], limit: float) -> tuple[int, ...]:
    """Models of a trajectory, small to large, that take no more than a time.

    The largest gets as many steps as the limit allows, then the next: on the Pareto front of
    three models (Fig. 6) the mixes with the most steps of the large one have the lowest FID.

    Args:
        seconds: of one evaluation of each model.
        evaluations: of each step, noisiest first.
        limit: seconds of all steps.

    Raises:
        ValueError: even the fastest model takes longer.
    """
    most = limit * (1 + 1e-9)  # above rounding
    left, taken = sum(evaluations), 0.0
    if left * min(seconds) > most:
        raise ValueError(f"the fastest model alone takes {left * min(seconds):.6g} s")
    model, models = len(seconds) - 1, []
    for count in reversed(evaluations):
        left -= count
        while model and taken + count * seconds[model] + left * min(seconds[: model + 1]) > most:
            model -= 1
        taken += count * seconds[model]
        models.append(model)
    return tuple(reversed(models))
