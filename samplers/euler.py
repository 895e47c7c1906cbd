"""Euler steps along the probability flow: the sampler of flow models."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .base import Sampler, Step
from .checks import check_integer
from .process import Process, check_process
from .stitch import StitchSchedule


@dataclass(frozen=True, slots=True)
class LineStep:
    """x_next = x_part * x + slope * prediction; floats."""

    x_part: float
    slope: float

    def __call__(self, x: Tensor, prediction: Tensor) -> Tensor:
        """x after the step, shape and dtype of x."""
        return self.x_part * x + self.slope * prediction


def line_steps(process: Process, times: np.ndarray) -> tuple[LineStep, ...]:
    """Between each two times: x / scale moves by (tau_next - tau) * prediction (Process.line)."""
    scale, tau = map(np.asarray, process.line(times))
    ratio, move = scale[1:] / scale[:-1], scale[1:] * np.diff(tau)
    return tuple(map(LineStep, ratio.tolist(), move.tolist()))


class Euler(Sampler):
    """x + (sigma_next - sigma) velocity for flows; for eps, the same line as DDIM's.

    Args:
        steps: N, an integer from 1 to T.
        process: of the latents; its trajectory is walked.
        stitch, num_models: as of Sampler.

    Raises:
        ValueError: on a value out of range; the message is `name=value: what is allowed`.
    """

    uses_variance = False

    def __init__(
        self, steps: int, *, process: Process, stitch: StitchSchedule, num_models: int
    ) -> None:
        check_integer("steps", steps, 1, check_process(process).num_timesteps)
        times = process.times(steps)
        super().__init__(times[:-1].tolist(), process, stitch, num_models)
        self.prediction = process.prediction
        self._steps = line_steps(process, times)

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        """One straight step to the next time."""
        return self._steps[step.index](x, prediction)
