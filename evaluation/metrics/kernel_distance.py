"""KID: the unbiased squared maximum mean discrepancy (Binkowski et al., arXiv 1801.01401)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from evaluation.metrics.blocks import row_blocks
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric


@dataclass(frozen=True, slots=True)
class KernelSums:
    """Sums of the kernel over pairs of groups of samples, and against the reference."""

    within: Tensor  # (G, G): over pairs of samples of two groups, a sample with itself left out
    across: Tensor  # (G,): over pairs of a sample and a reference feature
    sizes: Tensor  # (G,): samples in each group
    reference: float  # mean over pairs of two reference features
    num_reference: int

    def distance(self, left_out: int | None = None) -> float:
        """KID of all samples, or of those outside one group: over all pairs, without subsets."""
        keep = torch.ones_like(self.sizes, dtype=torch.bool)
        if left_out is not None:
            keep[left_out] = False
        count = float(self.sizes[keep].sum())
        within = float(self.within[keep][:, keep].sum()) / (count * (count - 1))
        across = float(self.across[keep].sum()) / (count * self.num_reference)
        return within + self.reference - 2 * across


def kernel(rows: Tensor, columns: Tensor) -> Tensor:
    """The cubic polynomial kernel (x . y / D + 1)^3 of rows (N, D) and columns (M, D)."""
    base = (rows @ columns.T).div_(rows.shape[1]).add_(1)
    return base * base * base


def mean_off_diagonal(features: Tensor) -> float:
    """Mean kernel of pairs of different rows of features (N, D) float64."""
    count = len(features)
    total = sum(float(kernel(features[rows], features).sum()) for rows in row_blocks(count, count))
    return (total - float(_diagonal(features).sum())) / (count * (count - 1))


def kernel_sums(
    features: Tensor, groups: Tensor, reference: Tensor, reference_mean: float
) -> KernelSums:
    """The sums that KID and its delete-a-group replicates need.

    Args:
        features: (N, D) float64 of the samples.
        groups: (N,) int64 in 0..G-1.
        reference: (M, D) float64.
        reference_mean: `mean_off_diagonal(reference)`.
    """
    sizes = torch.bincount(groups)
    within = torch.zeros(len(sizes), len(sizes), dtype=features.dtype, device=features.device)
    across = torch.zeros(len(sizes), dtype=features.dtype, device=features.device)
    for rows in row_blocks(len(features), len(features)):
        by_column = torch.zeros(rows.stop - rows.start, len(sizes), dtype=features.dtype)
        by_column = by_column.to(features.device)
        by_column.index_add_(1, groups, kernel(features[rows], features))
        within.index_add_(0, groups[rows], by_column)
    for rows in row_blocks(len(features), len(reference)):
        across.index_add_(0, groups[rows], kernel(features[rows], reference).sum(1))
    own = torch.zeros_like(across).index_add_(0, groups, _diagonal(features))
    return KernelSums(within - torch.diag(own), across, sizes, reference_mean, len(reference))


def _diagonal(features: Tensor) -> Tensor:
    base = features.square().sum(1).div(features.shape[1]).add(1)
    return base * base * base


def _estimate(samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Over all pairs."""
    features, real = samples.all("pool"), reference.features
    if features is None or real is None:
        return None
    mean = reference.once("kernel mean", lambda: mean_off_diagonal(real))
    sums = kernel_sums(features, samples.numbers, real, mean)
    return Estimate(sums.distance(), tuple(map(sums.distance, range(len(sums.sizes)))))


KID = Metric("kid", "KID", higher_is_better=False, estimate=_estimate)
