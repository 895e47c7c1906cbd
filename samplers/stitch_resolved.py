"""Schedules that are found by measuring, once: until then they have no models."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .checks import check_choice, check_integer, check_number
from .prediction import PREDICTIONS
from .stitch_base import MAX_SEED, MOST_STEPS, StitchSchedule, check_steps, check_two
from .stitch_orders import Explicit


@dataclass(frozen=True, kw_only=True)
class ResolvedSchedule(StitchSchedule):
    """One that a measurement fills in: `models` is then as of Explicit."""

    name: ClassVar[str]  # of its file in configs/stitch, for messages

    models: Sequence[int] | None = None  # the resolved schedule, noisiest step first

    @property
    def target(self) -> dict[str, Any]:
        """What is asked for: every field but the schedule."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "models"}

    @property
    def small_steps(self) -> int | None:
        """How many steps of the small denoiser are asked for; None = as many as it takes."""
        return None

    @property
    @abstractmethod
    def title(self) -> str:
        """The target in letters, digits and `.`, to name a directory."""

    def check(self, num_steps: int, num_models: int) -> None:
        """Refuses what cannot be resolved, before anything is loaded or measured.

        Raises:
            ValueError: if the target does not fit these steps or this number of models.
        """

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        self.check(len(progress), num_models)
        if self.models is None:
            raise ValueError(
                f"models=None: stitch={self.name} is resolved by scripts/sample.py alone; choose "
                "stitch=fraction or fractions here"
            )
        models = Explicit(models=self.models).assign(progress, num_models)
        if self.small_steps not in (None, models.count(0)):
            raise ValueError(
                f"models={list(models)}: has {models.count(0)} steps of the small denoiser, not "
                f"steps={self.small_steps}; leave models null, or choose stitch=explicit"
            )
        return models


@dataclass(frozen=True, kw_only=True)
class Budget(ResolvedSchedule):
    """The best schedule that a time allows (T-Stitch, App. A.1): one of the two targets is given.

    It is resolved by measured times: `spend` gives the steps of each denoiser.
    """

    name: ClassVar = "budget"

    speedup: float | None = None  # over the largest denoiser alone, at least 1
    ms_per_image: float | None = None  # of one process, denoisers alone

    def __post_init__(self) -> None:
        if (self.speedup is None) == (self.ms_per_image is None):
            raise ValueError(
                f"speedup={self.speedup}: give either speedup or ms_per_image, the other null"
            )
        if self.speedup is not None:
            check_number("speedup", self.speedup, 1, 1e6)
        if self.ms_per_image is not None:
            check_number("ms_per_image", self.ms_per_image, 0, 1e9)

    @property
    def title(self) -> str:
        if self.speedup is not None:
            return f"speedup{self.speedup:g}"
        return f"{self.ms_per_image:g}ms"


@dataclass(frozen=True, kw_only=True)
class TopK(ResolvedSchedule):
    """The small denoiser takes the steps at which it disagrees least (TRACK, 2609.30096).

    Along the trajectories of the large denoiser alone, q_k is the mean over inputs of
    norm(p_small - p_large) / norm(p_large), of guided predictions at the same latent and timestep;
    the `steps` steps with the smallest q_k are small.
    """

    name: ClassVar = "topk"

    steps: int  # K, of the small denoiser, from 0
    inputs: int = 64  # M, images of the calibration
    # Which prediction is compared; it decides the order. None = the process's own: eps of
    # variance-preserving ones and EDM's, the velocity of flows.
    compare: str | None = None
    seed: int = 0  # of the calibration, in 0..2**32-1; its images are no run's

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 0, MOST_STEPS)
        check_integer("inputs", self.inputs, 1, 10**6)
        if self.compare is not None:
            check_choice("compare", self.compare, PREDICTIONS)
        check_integer("seed", self.seed, 0, MAX_SEED)

    @property
    def small_steps(self) -> int:
        return self.steps

    @property
    def title(self) -> str:
        return f"topk{self.steps}"

    def check(self, num_steps: int, num_models: int) -> None:
        check_two("steps", self.steps, num_models)
        check_steps(self.steps, num_steps)


@dataclass(frozen=True, kw_only=True)
class Search(ResolvedSchedule):
    """The schedule of some small steps whose images change least, by an evolutionary search.

    After OMS-DPM (2306.08860), with a criterion that needs no thousands of images: the change of
    x_0 at equal noise, against the large denoiser alone. One of the two targets is given.
    """

    name: ClassVar = "search"

    steps: int | None = None  # of the small denoiser, from 0; or as many as ...
    speedup: float | None = None  # ... it takes to be so much faster than the large one alone
    inputs: int = 16  # images that every schedule is judged by
    population: int = 24  # schedules that a generation keeps, and adds
    generations: int = 12
    seed: int = 0  # of noise and search, in 0..2**32-1; its images are no run's

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.speedup is None):
            raise ValueError(f"steps={self.steps}: give either steps or speedup, the other null")
        if self.steps is not None:
            check_integer("steps", self.steps, 0, MOST_STEPS)
        if self.speedup is not None:
            check_number("speedup", self.speedup, 1, 1e6)
        check_integer("inputs", self.inputs, 1, 10**6)
        check_integer("population", self.population, 2, 10**6)
        check_integer("generations", self.generations, 0, 10**6)
        check_integer("seed", self.seed, 0, MAX_SEED)

    @property
    def small_steps(self) -> int | None:
        return self.steps

    @property
    def title(self) -> str:
        return f"search{self.steps}" if self.speedup is None else f"search{self.speedup:g}x"

    def check(self, num_steps: int, num_models: int) -> None:
        name = "steps" if self.speedup is None else "speedup"
        check_two(name, getattr(self, name), num_models)
        check_steps(self.steps or 0, num_steps)


def least(values: Sequence[float], count: int) -> tuple[int, ...]:
    """A schedule of two denoisers that gives the small one the steps of the smallest values.

    Of equal values the earlier step comes first.
    """
    order = sorted(range(len(values)), key=lambda k: (values[k], k))
    small = set(order[:count])
    return tuple(int(k not in small) for k in range(len(values)))


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
