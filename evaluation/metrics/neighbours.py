"""Shares of k-nearest-neighbour balls that hold something of the other side.

Precision and recall (Kynkaanniemi et al., arXiv 1904.06991), and coverage (Naeem et al., arXiv
2002.09797).
"""

import torch
from torch import Tensor

from evaluation.metrics.blocks import row_blocks, squared_distances
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric, share_of

NEIGHBOURS = 3
OF_COVERAGE = 5  # the number of neighbours that its authors choose


def squared_radii(features: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Squared distance (N,) float64 of each feature vector to its k-th nearest other one.

    Args:
        features: (N, D) float64, N > k.
    """
    return _nearest(features, neighbours)[:, -1]


def _nearest(features: Tensor, count: int) -> Tensor:
    """Squared distances (N, count) float64 to the nearest other vectors, ascending."""
    found = torch.empty(len(features), count, dtype=features.dtype, device=features.device)
    for rows in row_blocks(len(features), len(features)):
        distances = squared_distances(features[rows], features)
        own = torch.arange(rows.start, rows.stop, device=features.device)
        distances[torch.arange(len(own)), own] = 0  # exactly, whatever the rounding
        # The nearest is the vector itself; topk is much faster than kthvalue for a small k.
        found[rows] = distances.topk(count + 1, dim=1, largest=False).values[:, 1:]
    return found


def _radii(reference: ReferenceStatistics, real: Tensor, neighbours: int) -> Tensor:
    """Squared radii (M,) of the reference's balls, whose distances are computed once."""
    count = min(OF_COVERAGE, len(real) - 1)
    return reference.once("nearest", lambda: _nearest(real, count))[:, neighbours - 1]


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
        radii: squared, (M,) of balls around the centres, or (N, 1) of balls around the points.
        groups: (M,) int64, ascending, every group of 0..G-1 being there.
    """
    sizes = torch.bincount(groups).tolist()
    covered = []
    for rows in row_blocks(len(points), len(centres)):
        own = radii[rows] if radii.dim() == 2 else radii
        inside = squared_distances(points[rows], centres) <= own
        covered.append(torch.stack([part.any(1) for part in inside.split(sizes, dim=1)], 1))
    return torch.cat(covered)


def _precision(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Share of the samples inside a ball of the reference."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None:
        return None
    radii = _radii(reference, real, NEIGHBOURS)
    return share_of(inside_any(features, real, radii), samples.numbers)


def _recall(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Share of the reference inside a ball of the samples; the radii are those of all samples."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None:
        return None
    return _covered(groups_that_cover(real, features, squared_radii(features), samples.numbers))


def _coverage(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Share of the reference that has a sample in its own ball."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None or len(real) <= OF_COVERAGE:
        return None
    radii = _radii(reference, real, OF_COVERAGE)[:, None]
    return _covered(groups_that_cover(real, features, radii, samples.numbers))


def _covered(covered: Tensor) -> Estimate:
    """Share of the points that some group covers, of (N, G) bool."""
    times = covered.sum(1)
    value = float((times > 0).double().mean())
    without = [float((times > group.long()).double().mean()) for group in covered.T]
    return Estimate(value, tuple(without))


PRECISION = Metric(
    "precision", "precision", higher_is_better=True, estimate=_precision, is_share=True
)
RECALL = Metric("recall", "recall", higher_is_better=True, estimate=_recall, is_share=True)
COVERAGE = Metric("coverage", "coverage", higher_is_better=True, estimate=_coverage, is_share=True)
