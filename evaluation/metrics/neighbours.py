"""Precision and recall of k-nearest-neighbour balls (Kynkaanniemi et al., arXiv 1904.06991)."""

import torch
from torch import Tensor

from evaluation.metrics.blocks import row_blocks, squared_distances
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric, share_of

NEIGHBOURS = 3


def squared_radii(features: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Squared distance (N,) float64 of each feature vector to its k-th nearest other one.

    Args:
        features: (N, D) float64, N > k.
    """
    radii = torch.empty(len(features), dtype=features.dtype, device=features.device)
    for rows in row_blocks(len(features), len(features)):
        distances = squared_distances(features[rows], features)
        own = torch.arange(rows.start, rows.stop, device=features.device)
        distances[torch.arange(len(own)), own] = 0  # exactly, whatever the rounding
        # The nearest is the vector itself; topk is much faster than kthvalue for a small k.
        nearest = distances.topk(neighbours + 1, dim=1, largest=False).values
        radii[rows] = nearest[:, -1]
    return radii


def inside_any(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Whether each point lies in the ball of at least one centre, (N,) bool.

    Args:
        points: (N, D) float64.
        centres: (M, D) float64.
        radii: (M,) squared radii.
    """
    found = [
        (squared_distances(points[rows], centres) <= radii).any(1)
        for rows in row_blocks(len(points), len(centres))
    ]
    return torch.cat(found)


def groups_that_cover(points: Tensor, centres: Tensor, radii: Tensor, groups: Tensor) -> Tensor:
    """Whether each point lies in a ball of each group of centres, (N, G) bool.

    Recall without a group of samples is the part of the points that another group covers.

    Args:
        points: (N, D) float64.
        centres: (M, D) float64.
        radii: (M,) squared radii.
        groups: (M,) int64, ascending, every group of 0..G-1 being there.
    """
    sizes = torch.bincount(groups).tolist()
    covered = []
    for rows in row_blocks(len(points), len(centres)):
        inside = squared_distances(points[rows], centres) <= radii
        covered.append(torch.stack([part.any(1) for part in inside.split(sizes, dim=1)], 1))
    return torch.cat(covered)


def _precision(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Share of the samples inside a ball of the reference."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None:
        return None
    radii = reference.once("radii", lambda: squared_radii(real))
    return share_of(inside_any(features, real, radii), samples.numbers)


def _recall(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Share of the reference inside a ball of the samples; the radii are those of all samples."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None:
        return None
    covered = groups_that_cover(real, features, squared_radii(features), samples.numbers)
    times = covered.sum(1)
    value = float((times > 0).double().mean())
    without = [float((times > group.long()).double().mean()) for group in covered.T]
    return Estimate(value, tuple(without))


PRECISION = Metric(
    "precision", "precision", higher_is_better=True, estimate=_precision, is_share=True
)
RECALL = Metric("recall", "recall", higher_is_better=True, estimate=_recall, is_share=True)
