"""How long one guided step of a denoiser takes."""

from evaluation.cost.timing import StageTimer
from tstitch.sampling.pipeline import Batch, Pipeline

LEAST_S = 0.3  # a denoiser is timed over as many steps as take about this long


def time_step(pipeline: Pipeline, model: int, batch: Batch, least: float = LEAST_S) -> float:
    """Seconds of one guided evaluation of a batch.

    Args:
        model: index of the denoiser.
        least: seconds that a measurement takes; 0 = two steps.
    """
    t, repeats = pipeline.experiment.sampler.plan[0].t, 1
    pipeline.evaluate(model, batch, t)  # after a pause, caches and clocks are cold
    while True:
        timer = StageTimer(pipeline.device)
        with timer.stage("steps"):
            for _ in range(repeats):
                pipeline.evaluate(model, batch, t)
        seconds = timer.seconds()["steps"]
        if seconds >= least:
            return seconds / repeats
        repeats = max(2 * repeats, int(repeats * least / max(seconds, 1e-9)))
