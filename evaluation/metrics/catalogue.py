"""The metrics that an evaluation measures, in the order of its tables."""

from evaluation.metrics.class_accuracy import CLASS_ACCURACY
from evaluation.metrics.frechet import FID, SFID
from evaluation.metrics.inception_score import INCEPTION_SCORE
from evaluation.metrics.kernel_distance import KID
from evaluation.metrics.metric import Metric
from evaluation.metrics.neighbours import PRECISION, RECALL

METRICS: list[Metric] = [FID, SFID, INCEPTION_SCORE, PRECISION, RECALL, KID, CLASS_ACCURACY]


def find_metric(key: str) -> Metric | None:
    """The metric of a key; None for one that only an earlier or another version measures."""
    return next((metric for metric in METRICS if metric.key == key), None)
