"""Share of the images that a classifier takes for what they should be."""

from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric, share_of


def _estimate(samples: Samples, _reference: ReferenceStatistics) -> Estimate | None:
    if samples.labels is None or (classes := samples.all("classes")) is None:
        return None
    return share_of(classes == samples.labels.to(classes.device), samples.numbers)


CLASS_ACCURACY = Metric(
    "class_accuracy", "class accuracy", higher_is_better=True, estimate=_estimate,
    kinds=("classes",), against_reference=False, is_share=True,
)  # fmt: skip
