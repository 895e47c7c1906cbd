"""Inception Score (Salimans et al., arXiv 1606.03498) from sums that add over groups of images."""

import torch
from torch import Tensor

from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric

SPLIT_SIZE = 5000  # images, as in ADM's evaluation


def num_splits(num_images: int) -> int:
    """N / 5,000 splits, at least one."""
    return max(1, num_images // SPLIT_SIZE)


def score_sums(logits: Tensor, split: Tensor, splits: int) -> Tensor:
    """What the score needs of some images, as sums.

    Args:
        logits: (N, K), without bias.
        split: (N,) int64, the split of each image.
        splits: number of splits.

    Returns:
        (splits, K + 2) float64: sums of the probabilities, of p log p, and the count.
    """
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    ones = torch.ones(len(p), 1, dtype=p.dtype, device=p.device)
    rows = torch.cat([p, (p * log_p).sum(1, keepdim=True), ones], 1)
    sums = torch.zeros(splits, rows.shape[1], dtype=p.dtype, device=p.device)
    return sums.index_add_(0, split, rows)


def inception_score(sums: Tensor) -> float:
    """Mean over the splits of exp(E KL(p(y|x) || p(y))).

    Args:
        sums: added `score_sums`; a split whose images were all taken away does not count.
    """
    sums = sums[sums[:, -1] > 0]
    count = sums[:, -1]
    marginal = sums[:, :-2] / count[:, None]
    entropy = torch.special.entr(marginal).sum(1)
    return float((sums[:, -2] / count + entropy).exp().mean())


def split_of(indices: range, num_images: int) -> Tensor:
    """The split of each image: consecutive images, in order, unshuffled."""
    splits = num_splits(num_images)
    # The i-th split begins at i * N // splits.
    starts = torch.tensor([i * num_images // splits for i in range(splits)])
    numbers = torch.arange(indices.start, indices.stop)
    return torch.searchsorted(starts, numbers, right=True) - 1


def _estimate(samples: Samples, _reference: ReferenceStatistics) -> Estimate | None:
    count, splits = samples.count, num_splits(samples.count)
    sums = samples.by_group(
        lambda indices, features: score_sums(features["logits"], split_of(indices, count), splits)
    )
    if not sums:
        return None
    total = torch.stack(sums).sum(0)
    return Estimate(inception_score(total), tuple(inception_score(total - group) for group in sums))


INCEPTION_SCORE = Metric(
    "inception_score", "Inception Score", higher_is_better=True, estimate=_estimate,
    kinds=("logits",), against_reference=False, headline=True,
)  # fmt: skip
