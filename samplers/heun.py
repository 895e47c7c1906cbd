"""Heun's method along the probability flow (EDM, Algorithm 1 without noise)."""

from collections.abc import Callable, Sequence

from torch import Tensor

from .base import Sampler, Step
from .checks import check_integer
from .euler import line_steps
from .process import Process, check_process
from .stitch import StitchSchedule


def _evaluated_twice(steps: Sequence[Step], times: Sequence[float]) -> tuple[Step, ...]:
    """Every step but the last also at its end, by the denoiser that runs it: 2N - 1 evaluations."""
    evaluations = [
        (t, step.model) for step, end in zip(steps, times[1:], strict=True) for t in (step.t, end)
    ]
    return tuple(Step(i, t, model) for i, (t, model) in enumerate(evaluations[:-1]))


class Heun(Sampler):
    """An Euler step, then again with the mean of the slopes at its two ends; the last is Euler's.

    Two evaluations a step but for the last: the plan has 2N - 1. A step is not split between
    denoisers: stitch schedules assign N steps.

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
        self.plan = _evaluated_twice(self.plan, times.tolist())
        self.evaluations = (2,) * (steps - 1) + (1,)
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
        """Even evaluations predict; odd ones correct, from where the step began."""
        move = self._steps[step.index // 2]
        if step.index % 2 == 0:
            history[:] = [x, prediction]
            return move(x, prediction)
        begin, first = history
        return move(begin, 0.5 * (first + prediction))
