"""What a stitch schedule is, and what the kinds of it share."""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from .process import Process

AXES = ("time", "step")
MOST_STEPS = 10**6  # of a trajectory
MAX_SEED = 2**32 - 1
TOLERANCE = 1e-7
"""Far above float64 rounding, far below 1/T: comparisons are as exact as with rationals."""


class Misfit(ValueError):
    """A schedule that does not fit the steps or the number of denoisers."""


class StitchSchedule(ABC):
    """Assigns a denoiser to every step. To add a kind: subclass it and write a yaml for it.

    Attributes:
        propagate, injection: as of PlannedSchedule; here nothing is shared or added.
    """

    propagate: int | Sequence[int] | None = None
    injection: float = 0.0

    @abstractmethod
    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        """Model index of each step, in 0..num_models-1, 0 the smallest.

        Args:
            progress: of each step along the time axis, rising to at most 1 (Process.progress).
            num_models: number of denoisers, at least 1.

        Raises:
            ValueError: if the schedule does not fit these steps or this number of models.
        """

    def along(
        self, timesteps: Sequence[float], process: Process, num_models: int
    ) -> tuple[int, ...]:
        """The same for a trajectory of a process, noisiest step first; samplers ask this.

        Raises:
            ValueError: as of `assign`.
        """
        return self.assign([float(process.progress(t)) for t in timesteps], num_models)


@dataclass(frozen=True, kw_only=True)
class PlannedSchedule(StitchSchedule):
    """One that is known beforehand, so that a denoiser's steps may share an encoding.

    What comes of it, and what is refused: samplers.Propagation.
    """

    # Encoder propagation: every m-th step is a key step, or these are, counted from 0.
    propagate: int | Sequence[int] | None = None  # None = off
    injection: float = 0.0  # of the prior noise before late steps, in [0, 1]


def split(progress: Sequence[float], boundaries: Sequence[float], axis: str) -> tuple[int, ...]:
    """The first k with progress <= boundaries[k]; past all of them, len(boundaries)."""
    if axis == "step":
        progress = [(i + 1) / len(progress) for i in range(len(progress))]
    limits = [boundary + TOLERANCE for boundary in boundaries]
    return tuple(bisect_left(limits, p) for p in progress)


def check_two(name: str, value: object, num_models: int) -> None:
    """Raises ValueError unless there are two denoisers; names a field of the schedule."""
    if num_models != 2:
        raise ValueError(
            f"{name}={value!r}: this stitch schedule takes exactly two denoisers, not "
            f"{num_models}; use Fractions (stitch=fractions)"
        )


def check_steps(steps: int, num_steps: int) -> None:
    """Raises ValueError if a trajectory has fewer steps than the small denoiser is to take."""
    if steps > num_steps:
        raise ValueError(
            f"steps={steps}: choose at most {num_steps}, which the sampler has, for the small "
            "denoiser"
        )
