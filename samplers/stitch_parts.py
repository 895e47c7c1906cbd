"""Schedules of consecutive parts of the trajectory: fractions, windows, boundaries."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from .checks import check_choice, check_integer, check_list, check_number, is_number
from .process import Process
from .stitch_base import AXES, MOST_STEPS, TOLERANCE, PlannedSchedule, check_steps, check_two, split

EXPERTS = ("small", "large")


@dataclass(frozen=True, kw_only=True)
class Fraction(PlannedSchedule):
    """The small denoiser takes the first `fraction` of the trajectory, the large one the rest.

    A step is small if its progress (1 - t/T) is <= fraction; with axis "step", if (i+1)/N is.
    """

    fraction: float  # in [0, 1]; 0 = large only, 1 = small only
    axis: str = "time"  # "time" or "step"

    def __post_init__(self) -> None:
        check_number("fraction", self.fraction, 0, 1)
        check_choice("axis", self.axis, AXES)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("fraction", self.fraction, num_models)
        return split(progress, [self.fraction], self.axis)


@dataclass(frozen=True, kw_only=True)
class Fractions(PlannedSchedule):
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
        return split(progress, list(accumulate(values[: num_models - 1])), self.axis)


@dataclass(frozen=True, kw_only=True)
class LargeToSmall(Fraction):
    """The reverse order: large takes the first 1 - fraction of the trajectory, small the rest."""

    fraction: float = 0.5  # of the small denoiser, in [0, 1]

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("fraction", self.fraction, num_models)
        return tuple(1 - k for k in split(progress, [1 - self.fraction], self.axis))


@dataclass(frozen=True, kw_only=True)
class Window(PlannedSchedule):
    """Large, small, large: the small denoiser takes the middle (FlowBlending, 2512.24724).

    A step is small if start < progress <= end; with axis "step", if (i+1)/N is so. From 0 it is
    Fraction, up to 1 it is LargeToSmall.
    """

    start: float  # in [0, end]
    end: float  # in [start, 1]
    axis: str = "time"  # "time" or "step"

    def __post_init__(self) -> None:
        check_number("start", self.start, 0, 1)
        check_number("end", self.end, 0, 1)
        if self.start > self.end:
            raise ValueError(f"start={self.start}: choose a number of at most end={self.end}")
        check_choice("axis", self.axis, AXES)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("start", self.start, num_models)
        return tuple(int(part != 1) for part in split(progress, [self.start, self.end], self.axis))


@dataclass(frozen=True, kw_only=True)
class Boundary(PlannedSchedule):
    """Two experts: one while t/T >= boundary, the other below (Wan 2.2; SDXL's refiner).

    t/T is Process.time_part, of the timesteps as networks take them: 1 at pure noise of a flow.
    """

    boundary: float  # in [0, 1]; 0.875 for Wan 2.2's text to video, 0.2 for SDXL's refiner
    high_noise: str = "small"  # which is first: "small", the pair's first, or "large"

    def __post_init__(self) -> None:
        check_number("boundary", self.boundary, 0, 1)
        check_choice("high_noise", self.high_noise, EXPERTS)

    def along(
        self, timesteps: Sequence[float], process: Process, num_models: int
    ) -> tuple[int, ...]:
        return self._experts([float(process.time_part(t)) for t in timesteps], num_models)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        return self._experts([1 - p for p in progress], num_models)

    def _experts(self, levels: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("boundary", self.boundary, num_models)
        first = EXPERTS.index(self.high_noise)
        return tuple(first if level >= self.boundary - TOLERANCE else 1 - first for level in levels)


@dataclass(frozen=True, kw_only=True)
class Last(PlannedSchedule):
    """The small denoiser takes the last steps (Last-K of TRACK, 2609.30096)."""

    steps: int  # of the small denoiser, from 0

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 0, MOST_STEPS)

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        check_two("steps", self.steps, num_models)
        check_steps(self.steps, len(progress))
        return (1,) * (len(progress) - self.steps) + (0,) * self.steps
