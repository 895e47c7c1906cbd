"""How good a schedule is without thousands of images: how little it moves some."""

from collections.abc import Sequence
from math import inf

import torch

from tstitch.maker.protocol import TracedMaker
from tstitch.schedules.calibration import calibration_batches
from tstitch.schedules.evolution import Schedule


class Criterion:
    """Root mean square change of x_0 over all inputs, against the largest denoiser alone.

    All schedules begin with the same noise.

    Args:
        maker: all of whose denoisers are prepared.
        inputs: number of images.
        seed: of their noise and classes.
    """

    def __init__(self, maker: TracedMaker, inputs: int, seed: int) -> None:
        self._trials = [maker.trials(batch) for batch in calibration_batches(maker, inputs, seed)]

    def __call__(self, schedules: Sequence[Schedule]) -> list[float]:
        """Of each schedule, from 0; infinite where an image is not finite."""
        each = torch.cat([trials.changes(schedules) for trials in self._trials], dim=1)
        found: list[float] = each.pow(2).mean(1).sqrt().nan_to_num(nan=inf).tolist()
        return found

    @property
    def image_steps(self) -> int:
        """Steps of an image that were computed so far."""
        return sum(trials.evaluated for trials in self._trials)
