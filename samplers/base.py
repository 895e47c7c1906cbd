"""The stitched sampling loop, and what a sampler has to provide for it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import is_integer
from .process import Process, check_process
from .stitch import Misfit, StitchSchedule

Denoiser = Callable[[Tensor, float, Tensor], tuple[Tensor, Tensor | None]]
"""(x, t, y) -> (prediction, variance logits or None), both of the shape of x."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trajectory: which network evaluation, by which denoiser."""

    index: int  # 0 = noisiest
    t: float  # the timestep of the sampler's process; may be fractional
    model: int  # which denoiser, 0 = smallest


class Sampler(ABC):
    """A plan (timestep and denoiser per step) and the update rule; frozen once built.

    Args:
        timesteps: of the process, noisiest first.
        process: how noise and signal of the latents go with time.
        stitch: which denoiser runs which step.
        num_models: number of denoisers, at least 1.

    Attributes:
        plan: the network evaluations of an image, in order.
        evaluations: how many of them each step takes that the stitch schedule assigns.
        prediction: what the denoisers have to give: "eps", "x0" or "velocity".
        uses_variance: False = the updates never look at the denoisers' variance.
        stitch: the schedule that the plan is of.

    Raises:
        Misfit: a ValueError; the stitch schedule does not fit the steps or the number of models.
    """

    plan: tuple[Step, ...]
    evaluations: tuple[int, ...]
    prediction: str = "eps"
    uses_variance: bool = True

    def __init__(
        self,
        timesteps: Sequence[float],
        process: Process,
        stitch: StitchSchedule,
        num_models: int,
    ) -> None:
        if not is_integer(num_models) or num_models < 1:
            raise ValueError(f"num_models={num_models!r}: choose an integer of at least 1")
        if not isinstance(stitch, StitchSchedule):
            raise ValueError(f"stitch={stitch!r}: choose a StitchSchedule, e.g. Fraction")
        self.process, self.stitch = check_process(process), stitch
        try:
            models = stitch.along(timesteps, process, num_models)
        except ValueError as error:
            raise Misfit(str(error)) from error
        if len(models) != len(timesteps) or not set(models) <= set(range(num_models)):
            raise ValueError(
                f"stitch={stitch!r}: it must assign one of 0..{num_models - 1} to each of the "
                f"{len(timesteps)} steps, but gave {list(models)}"
            )
        self.plan = tuple(
            Step(i, float(t), int(model))
            for i, (t, model) in enumerate(zip(timesteps, models, strict=True))
        )
        self.evaluations = (1,) * len(self.plan)

    @property
    def steps(self) -> int:
        """Number of steps; the plan has an entry for each evaluation, Heun's two in most steps."""
        return len(self.evaluations)

    @abstractmethod
    def update(
        self,
        step: Step,
        x: Tensor,  # (N, *shape), float32 or float64
        prediction: Tensor,  # what the sampler asked for, shape and dtype of x
        variance: Tensor | None,  # variance logits in [-1, 1], shape of x; None = not predicted
        noise: Callable[[], Tensor],  # next step noise, shape of x; called only where needed
        history: list[Tensor],  # of this trajectory; multistep solvers keep predictions there
    ) -> Tensor:
        """x after this step, shape and dtype of x."""


@torch.no_grad()
def sample(
    sampler: Sampler,
    denoisers: Sequence[Denoiser],
    x_T: Tensor,
    y: Tensor,
    noise: Callable[[], Tensor],
) -> Tensor:
    """Trajectory stitching: walk the plan, each step run by the denoiser it names.

    Args:
        denoisers: small to large, guidance included; as many as the sampler was built for. They
            give what it asks for (samplers.Matching sees to that).
        x_T: pure noise of standard deviation process.prior_std, (N, *shape), float32 (float64
            stays float64).
        y: labels, (N,) int64, handed to the denoisers.
        noise: returns the next step noise, shape of x_T, in step order.

    Returns:
        x_0, shape and dtype of x_T.
    """
    x, history = x_T, list[Tensor]()
    for step in sampler.plan:
        prediction, variance = denoisers[step.model](x, step.t, y)
        x = sampler.update(step, x, prediction.to(x.dtype), variance, noise, history)
    return x
