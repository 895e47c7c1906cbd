"""The Frechet distance of two Gaussians: FID and sFID (Heusel et al., arXiv 1706.08500, Eq. 6)."""

import torch
from torch import Tensor


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
        """Squared Frechet distance, at least 0 up to rounding.

        Args:
            mean: (D,) float64.
            covariance: (D, D) float64.
        """
        product = self._root @ covariance @ self._root
        eigenvalues = torch.linalg.eigvalsh((product + product.T) / 2)
        root_trace = eigenvalues.clamp(min=0).sqrt().sum()
        shift = (mean - self._mean).square().sum()
        return float(shift + self._trace + covariance.trace() - 2 * root_trace)
