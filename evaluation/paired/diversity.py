"""How much of the diversity of its base a run keeps.

TRACK (arXiv 2609.30096) reports such a retention for stitching orders of video models; the measure
here is ours: how far images of one class are apart in a feature space, relative to the base.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.metrics.blocks import row_blocks, squared_distances
from evaluation.metrics.metric import Estimate
from evaluation.paired.runs import PairedImages, PairedMetric


@dataclass(frozen=True, slots=True)
class ClassDistances:
    """Sums over ordered pairs of different images of one class, by the groups of the two."""

    distances: Tensor  # (G, G) float64, Euclidean
    pairs: Tensor  # (G, G) float64, how many

    def mean(self, left_out: int | None = None) -> float:
        """Mean distance of two images of one class, of all or without one group; nan of none."""
        keep = torch.ones(len(self.pairs), dtype=torch.bool, device=self.pairs.device)
        if left_out is not None:
            keep[left_out] = False
        pairs = float(self.pairs[keep][:, keep].sum())
        return float(self.distances[keep][:, keep].sum()) / pairs if pairs else math.nan


def class_distances(features: Tensor, labels: Tensor, groups: Tensor) -> ClassDistances:
    """Distances of images of one class, in blocks.

    Args:
        features: (N, D) float64.
        labels: (N,) int64, the class of each image.
        groups: (N,) int64 in 0..G-1.
    """
    count = int(groups.max()) + 1
    distances = torch.zeros(count, count, dtype=torch.float64, device=features.device)
    pairs = torch.zeros_like(distances)
    for label in labels.unique():
        here = (labels == label).nonzero()[:, 0]
        own, numbers = features[here], groups[here]
        sizes = torch.bincount(numbers, minlength=count).double()
        pairs += torch.outer(sizes, sizes) - torch.diag(sizes)
        for rows in row_blocks(len(own), len(own)):
            block = squared_distances(own[rows], own).sqrt_()
            at = torch.arange(rows.start, rows.stop, device=own.device)
            block[torch.arange(len(at), device=own.device), at] = 0  # whatever the rounding
            by_column = torch.zeros(len(at), count, dtype=block.dtype, device=own.device)
            distances.index_add_(0, numbers[rows], by_column.index_add_(1, numbers, block))
    return ClassDistances(distances, pairs)


def _retention(paired: PairedImages) -> Estimate | None:
    """Mean distance of two images of one class, divided by the base's.

    None without labels, where leaving a group out leaves no two images of one class, or where
    those of the base are all equal: there is no diversity to keep.
    """
    if paired.labels is None:
        return None
    own, base = (
        class_distances(features, paired.labels, paired.groups)
        for features in (paired.features, paired.base)
    )
    left_out = [None, *range(len(own.pairs))]
    means = [(own.mean(group), base.mean(group)) for group in left_out]
    if not all(kept >= 0 and whole > 0 for kept, whole in means):  # nan is neither
        return None
    value, *replicates = (kept / whole for kept, whole in means)
    return Estimate(value, tuple(replicates))


RETENTION = PairedMetric("diversity", "diversity retention", estimate=_retention)
