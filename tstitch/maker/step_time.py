"""How long one guided step of a denoiser takes."""

from typing import Any

from evaluation.cost.timing import StageTimer
from tstitch.maker.protocol import ImageMaker, SteppedMaker
from tstitch.runtime.errors import UserError

LEAST_S = 0.3  # a denoiser is timed over as many steps as take about this long


def stepped(maker: ImageMaker, wanted_by: str) -> SteppedMaker:
    """The maker, if its denoisers can be timed.

    Args:
        wanted_by: setting or command, for the message.

    Raises:
        UserError: it makes images as a whole only.
    """
    if not isinstance(maker, SteppedMaker):
        raise UserError(
            f"{wanted_by}: the denoisers of pair {maker.experiment.name} cannot be timed by "
            "themselves; choose another pair"
        )
    return maker


def time_step(maker: SteppedMaker, model: int, batch: Any, least: float = LEAST_S) -> float:
    """Seconds of one guided evaluation of a batch.

    Args:
        model: index of the denoiser.
        batch: that the maker drew.
        least: seconds that a measurement takes; 0 = two steps.
    """
    repeats = 1
    maker.evaluate(model, batch)  # after a pause, caches and clocks are cold
    while True:
        timer = StageTimer(maker.engine.device)
        with timer.stage("steps"):
            for _ in range(repeats):
                maker.evaluate(model, batch)
        seconds = timer.seconds()["steps"]
        if seconds >= least:
            return seconds / repeats
        repeats = max(2 * repeats, int(repeats * least / max(seconds, 1e-9)))
