"""The Frechet distance of two Gaussians: FID and sFID (Heusel et al., arXiv 1706.08500, Eq. 6)."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric
from evaluation.metrics.moments import Moments

# Differences of this part of both traces are rounding of float64 sums, and count as none.
RESOLUTION = 1e-12


class FrechetReference:
    """The Gaussian of the real images; distances to it cost one symmetric eigenproblem each.

    tr (S R)^1/2 is the sum of the square roots of the eigenvalues of R^1/2 S R^1/2, a symmetric
    matrix, where a general matrix square root needs a Schur decomposition. Works for covariances
    without full rank.

    Args:
        mean: (D,) float64.
        covariance: (D, D) float64, symmetric, positive semi-definite up to rounding.
    """

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self._mean = mean
        self._trace = covariance.trace()
        values, vectors = torch.linalg.eigh(covariance)
        self._root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def distance(self, mean: Tensor, covariance: Tensor) -> float:
        """Squared Frechet distance, at least 0.

        With covariances of full rank it is right to about `RESOLUTION` of the sum of both traces.
        Every rank that is missing in both makes it too small by up to 2e-8 of the largest variance.
        What comes out below `RESOLUTION` is therefore 0; values that are not finite stay so.

        Args:
            mean: (D,) float64.
            covariance: (D, D) float64.
        """
        product = self._root @ covariance @ self._root
        eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
        root_trace = eigenvalues.clamp(min=0).sqrt().sum()
        shift = (mean - self._mean).square().sum()
        traces = self._trace + covariance.trace()
        distance = shift + traces - 2 * root_trace
        return 0.0 if bool(distance < RESOLUTION * traces) else float(distance)


def _estimate(kind: str, samples: Samples, reference: ReferenceStatistics) -> Estimate | None:
    """Each rank leaves out its own groups."""
    if kind not in reference.gaussians:
        return None
    real = reference.once(f"frechet/{kind}", lambda: FrechetReference(*reference.gaussians[kind]))
    total = samples.moments(kind)

    def without(_indices: range, features: Mapping[str, Tensor]) -> float:
        rest = total - Moments.of(features[kind].to(samples.device))
        return real.distance(rest.mean, rest.covariance)

    replicates = samples.by_group(without)
    if not replicates:
        return None
    return Estimate(real.distance(total.mean, total.covariance), tuple(replicates))


def _metric(key: str, title: str, kind: str, *, headline: bool = False) -> Metric:
    return Metric(
        key, title, higher_is_better=False, estimate=partial(_estimate, kind), kinds=(kind,),
        of_covariance=True, headline=headline,
    )  # fmt: skip


FID = _metric("fid", "FID", "pool", headline=True)
SFID = _metric("sfid", "sFID", "spatial")
