"""Metrics with their delete-a-group replicates, computed where all features are together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.metrics.frechet import FrechetReference
from evaluation.metrics.inception_score import inception_score
from evaluation.metrics.kernel_distance import kernel_sums, mean_off_diagonal
from evaluation.metrics.moments import Moments
from evaluation.metrics.neighbours import groups_that_cover, inside_any, squared_radii


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of all images, and of all images without each group."""

    value: float
    replicates: tuple[float, ...]


class FeatureReference:
    """Features of real images, with what every comparison with them needs, computed once.

    Args:
        features: (M, D) float64, M > 3.
    """

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self.radii = squared_radii(features)
        self.kernel_mean = mean_off_diagonal(features)


def frechet_replicates(
    reference: FrechetReference, total: Moments, groups: Sequence[Tensor]
) -> list[float]:
    """Frechet distance of the images without each of some groups.

    Args:
        total: moments of all images.
        groups: features (n, D) of each group.
    """
    replicates = []
    for features in groups:
        rest = total - Moments.of(features)
        replicates.append(reference.distance(rest.mean, rest.covariance))
    return replicates


def estimate_inception_score(sums: Sequence[Tensor]) -> Estimate:
    """Inception Score from the sums of each group (inception_score.score_sums)."""
    total = torch.stack(list(sums)).sum(0)
    return Estimate(inception_score(total), tuple(inception_score(total - group) for group in sums))


def estimate_precision(features: Tensor, groups: Tensor, reference: FeatureReference) -> Estimate:
    """Share of the samples inside a ball of the reference.

    Args:
        features: (N, D) float64.
        groups: (N,) int64, ascending.
    """
    inside = inside_any(features, reference.features, reference.radii)
    return estimate_share(inside, groups)


def estimate_recall(features: Tensor, groups: Tensor, reference: FeatureReference) -> Estimate:
    """Share of the reference inside a ball of the samples; the radii are those of all samples.

    Args:
        features: (N, D) float64, N > 3.
        groups: (N,) int64, ascending, every group of 0..G-1 being there.
    """
    radii = squared_radii(features)
    covered = groups_that_cover(reference.features, features, radii, groups)
    times = covered.sum(1)
    value = float((times > 0).double().mean())
    without = [float((times > covered[:, g].long()).double().mean()) for g in _all(groups)]
    return Estimate(value, tuple(without))


def estimate_kid(features: Tensor, groups: Tensor, reference: FeatureReference) -> Estimate:
    """KID over all pairs.

    Args:
        features: (N, D) float64.
        groups: (N,) int64.
    """
    sums = kernel_sums(features, groups, reference.features, reference.kernel_mean)
    return Estimate(sums.distance(), tuple(sums.distance(g) for g in _all(groups)))


def estimate_share(hits: Tensor, groups: Tensor) -> Estimate:
    """Share of images with some property, e.g. the right class.

    Args:
        hits: (N,) bool.
        groups: (N,) int64.
    """
    sizes = torch.bincount(groups).double()
    counts = torch.bincount(groups, weights=hits.double())
    rest = (counts.sum() - counts) / (sizes.sum() - sizes)
    return Estimate(float(counts.sum() / sizes.sum()), tuple(rest.tolist()))


FEATURE_METRICS: dict[str, Callable[[Tensor, Tensor, FeatureReference], Estimate]] = {
    "precision": estimate_precision,
    "recall": estimate_recall,
    "kid": estimate_kid,
}


def _all(groups: Tensor) -> range:
    return range(int(groups.max()) + 1)
