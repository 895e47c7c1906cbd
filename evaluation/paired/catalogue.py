"""The comparisons with another run's images, in the order of tables."""

from evaluation.metrics.jackknife import interval
from evaluation.metrics.measured import Measured
from evaluation.paired.closeness import FEATURE_DISTANCE, PSNR, RMS
from evaluation.paired.diversity import RETENTION
from evaluation.paired.runs import PairedImages, PairedMetric

PAIRED: list[PairedMetric] = [RETENTION, RMS, FEATURE_DISTANCE, PSNR]


def measure_paired(paired: PairedImages, space: str) -> dict[str, Measured]:
    """Every comparison that these images tell, by key, with its 95 % interval and replicates.

    Args:
        space: name of the feature space, empty for Inception's.
    """
    found = {}
    for metric in PAIRED:
        if (estimate := metric.estimate(paired)) is not None:
            bounds = interval(estimate.value, estimate.replicates)
            # A mean of distances, and a ratio of them, is never negative.
            low = bounds.low if metric is PSNR else max(0.0, bounds.low)
            found[metric.key] = Measured(
                name=metric.name(space), value=estimate.value, low=low, high=bounds.high,
                replicates=estimate.replicates,
            )  # fmt: skip
    return found
