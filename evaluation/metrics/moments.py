"""Addable first and second moments of feature vectors, in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of outer products; two sets' moments add up to those of their union.

    Kept as sums, not as means, so that ranks and groups of images can be added and taken away.
    """

    count: int
    total: Tensor  # (D,) float64
    outer: Tensor  # (D, D) float64

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Moments of features (N, D), any float type."""
        values = features.double()
        return cls(len(values), values.sum(0), values.T @ values)

    @classmethod
    def none(cls, dimension: int) -> "Moments":
        """Moments of no features at all."""
        zeros = torch.zeros(dimension, dimension, dtype=torch.float64)
        return cls(0, zeros[0].clone(), zeros)

    def to(self, device: torch.device | str) -> "Moments":
        """The same on a device."""
        return Moments(self.count, self.total.to(device), self.outer.to(device))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.count - other.count, self.total - other.total, self.outer - other.outer)

    @property
    def mean(self) -> Tensor:
        """(D,) float64."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(D, D) float64, with N - 1 in the denominator as numpy.cov has it; needs N >= 2."""
        mean = self.mean
        return (self.outer - self.count * torch.outer(mean, mean)) / (self.count - 1)
