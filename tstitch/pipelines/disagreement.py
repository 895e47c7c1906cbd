"""How far two networks are apart at each step of a pipeline, and the schedule that follows."""

from collections.abc import Sequence
from dataclasses import dataclass

from samplers.stitch import TopK, least
from tstitch.runtime.errors import errors_of


@dataclass(frozen=True)
class Disagreement:
    """What a calibration measured (TRACK, arXiv 2609.30096).

    Args:
        curves: one per input, of norm(p_small - p_large) / norm(p_large) at each step of the large
            network's own trajectory, p being what the scheduler gets: guided, as it is predicted
            (eps, v or velocity).
    """

    curves: tuple[tuple[float, ...], ...]

    @property
    def mean(self) -> tuple[float, ...]:
        """Over the inputs, of each step, noisiest first."""
        return tuple(sum(column) / len(self.curves) for column in zip(*self.curves, strict=True))

    def topk(self, steps: int) -> TopK:
        """The schedule in which the small network takes the `steps` steps of least disagreement.

        Raises:
            UserError: no number of steps from 0 to that of the calibration.
        """
        with errors_of("calibration: "):
            schedule = TopK(steps=steps, inputs=len(self.curves))
            schedule.check(len(self.mean), 2)
            models: Sequence[int] = least(self.mean, steps)
            return TopK(steps=steps, inputs=len(self.curves), models=models)
