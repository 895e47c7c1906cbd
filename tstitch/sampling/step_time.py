"""How long one guided step of a denoiser takes."""

from evaluation.cost.timing import StageTimer
from tstitch.sampling.pipeline import Batch, Stitcher

LEAST_S = 0.3  # a denoiser is timed over as many steps as take about this long


def time_step(stitcher: Stitcher, model: int, batch: Batch, least: float = LEAST_S) -> float:
    """Seconds of one guided evaluation of a batch.

    Args:
        model: index of the denoiser.
        least: seconds that a measurement takes; 0 = two steps.
    """
    t, repeats = stitcher.experiment.sampler.plan[0].t, 1
    stitcher.evaluate(model, batch, t)  # after a pause, caches and clocks are cold
    while True:
        timer = StageTimer(stitcher.device)
        with timer.stage("steps"):
            for _ in range(repeats):
                stitcher.evaluate(model, batch, t)
        seconds = timer.seconds()["steps"]
        if seconds >= least:
            return seconds / repeats
        repeats = max(2 * repeats, int(repeats * least / max(seconds, 1e-9)))
