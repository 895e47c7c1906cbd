"""The steps of a pipeline's run, read off its scheduler, and the network that runs each."""

from collections import Counter
from dataclasses import dataclass
from math import pi
from typing import Any

import torch

from samplers.discrete_vp import LinearVP
from samplers.process import Process
from samplers.rectified_flow import RectifiedFlow
from samplers.stitch import Boundary, StitchSchedule
from tstitch.runtime.errors import UserError, errors_of

DEFAULT_T = 1000
# Timesteps of these end with one that no network is asked for.
WITH_END = ("SCMScheduler",)
# What t is at pure noise, of those that do not count it in T steps.
PURE_NOISE = {"SCMScheduler": pi / 2, "CosineDPMSolverMultistepScheduler": 1.0}


@dataclass(frozen=True)
class Grid:
    """Solver steps of one run, in the order of its loop.

    A step of an order-2 scheduler is two evaluations, and one step here: it is not split between
    networks. Of the others every distinct timestep is a step, however often it is asked for.

    Args:
        timesteps: those of the scheduler, as its `timesteps` counts them.
        step_of: the step that each of them belongs to.
        times: of each step, the timestep it begins at.
        evaluations: of each step, how often a network is asked in the loop.
    """

    timesteps: tuple[float, ...]
    step_of: tuple[int, ...]
    times: tuple[float, ...]
    evaluations: tuple[int, ...]

    @classmethod
    def read(cls, scheduler: Any) -> "Grid":
        """That of a scheduler whose timesteps are set; one copy to the host."""
        timesteps = [float(t) for t in torch.as_tensor(scheduler.timesteps).tolist()]
        used = timesteps[:-1] if type(scheduler).__name__ in WITH_END else timesteps
        order = getattr(scheduler, "order", 1)
        if order > 1:
            times = used[::order]
            step_of = [i // order for i in range(len(timesteps))]
        else:
            times = list(dict.fromkeys(used))
            places = {t: i for i, t in enumerate(times)}
            step_of = [places.get(t, len(times) - 1) for t in timesteps]
        counts = Counter(step_of[: len(used)])
        evaluations = tuple(counts[step] for step in range(len(times)))
        return cls(tuple(timesteps), tuple(step_of), tuple(times), evaluations)

    def nearest(self, t: float) -> int:
        """Index into `timesteps` of what is closest to t; of equals the first."""
        return min(range(len(self.timesteps)), key=lambda i: abs(self.timesteps[i] - t))


def assign(
    grid: Grid, schedule: StitchSchedule, scheduler: Any, num_networks: int
) -> tuple[int, ...]:
    """The network of each step of a grid, 0 the smallest.

    Progress is 1 - t/T as with our own samplers, and a boundary is compared with t/T.

    Raises:
        UserError: the schedule does not fit these steps or networks, or is by time where the
            scheduler's timesteps are no time.
    """
    name = type(scheduler).__name__
    config = getattr(scheduler, "config", None)
    count = getattr(config, "num_train_timesteps", None) or DEFAULT_T
    times = [t * count / PURE_NOISE.get(name, count) for t in grid.times]
    if _by_time(schedule) and (
        name.startswith("EDM") or not 0 <= min(times) <= max(times) <= count
    ):
        raise UserError(
            f"axis=time: timesteps of {name}, {max(grid.times):g} to {min(grid.times):g}, are no "
            f"part of {count}; choose axis=step"
        )
    is_flow = max(times, default=0) > count - 1
    kind: type[RectifiedFlow] | type[LinearVP] = RectifiedFlow if is_flow else LinearVP
    process: Process = kind(num_timesteps=count)
    with errors_of("schedule: "):
        return schedule.along(times, process, num_networks)


def _by_time(schedule: StitchSchedule) -> bool:
    return isinstance(schedule, Boundary) or getattr(schedule, "axis", "step") == "time"
