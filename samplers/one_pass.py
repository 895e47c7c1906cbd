"""One evaluation of a denoiser that makes x_0 of pure noise (one-step students, TiUE)."""

from collections.abc import Callable

from torch import Tensor

from .base import Sampler, Step
from .process import Process
from .stitch import StitchSchedule


class OnePass(Sampler):
    """x_0 is what the denoiser says it is at the noisiest timestep.

    An ordinary denoiser's is a blurred mean; those that were distilled for it are meant.

    Args:
        process, stitch, num_models: as of Sampler.
    """

    prediction = "x0"
    uses_variance = False

    def __init__(self, *, process: Process, stitch: StitchSchedule, num_models: int) -> None:
        super().__init__([process.t_max], process, stitch, num_models)

    def update(
        self,
        step: Step,
        x: Tensor,
        prediction: Tensor,
        variance: Tensor | None,
        noise: Callable[[], Tensor],
        history: list[Tensor],
    ) -> Tensor:
        return prediction
