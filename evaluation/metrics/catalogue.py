"""The metrics that an evaluation measures, in the order of its tables."""

from evaluation.metrics.class_accuracy import CLASS_ACCURACY
from evaluation.metrics.clip_score import CLIP_SCORE
from evaluation.metrics.frechet import FID, SFID
from evaluation.metrics.inception_score import INCEPTION_SCORE
from evaluation.metrics.kernel_distance import KID
from evaluation.metrics.metric import Metric
from evaluation.metrics.neighbours import COVERAGE, PRECISION, RECALL
from evaluation.metrics.retrieval import STYLE_RETRIEVAL, SUBJECT_RETRIEVAL

METRICS: list[Metric] = [
    FID, SFID, INCEPTION_SCORE, PRECISION, RECALL, COVERAGE, KID, CLASS_ACCURACY,
    CLIP_SCORE, SUBJECT_RETRIEVAL, STYLE_RETRIEVAL,
]  # fmt: skip


def find_metric(key: str) -> Metric | None:
    """The metric of a key; None for one that only an earlier or another version measures."""
    return next((metric for metric in METRICS if metric.key == key), None)
