"""CLIP score: how well images match their prompts (Hessel et al., CLIPScore, arXiv 2104.08718)."""

from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric, mean_of

SCALE = 100.0


def _estimate(samples: Samples, _reference: ReferenceStatistics) -> Estimate | None:
    """100 times the cosine of an image and its prompt, mean over images, at least 0.

    This is torchmetrics' convention: the paper scales by 2.5 and clips the cosine of every image.
    """
    texts = samples.texts
    if texts is None or (images := samples.all("embedding")) is None:
        return None
    cosines = (images * texts.embeddings[texts.labels]).sum(1)
    found = mean_of(SCALE * cosines, samples.numbers)
    return Estimate(max(0.0, found.value), tuple(max(0.0, value) for value in found.replicates))


CLIP_SCORE = Metric(
    "clip_score", "CLIP score", higher_is_better=True, estimate=_estimate,
    kinds=("embedding",), against_reference=False, headline=True,
)  # fmt: skip
