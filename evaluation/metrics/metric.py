"""What a metric is: one object that says how it is called, what it needs and how to estimate it."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor

from evaluation.metrics.comparison import ReferenceStatistics, Samples


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of all images, and of all images without each group."""

    value: float
    replicates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that tells how good images are; `catalogue.METRICS` lists those that are measured.

    Args:
        key: in evaluation.json, points.csv and code.
        title: for readers.
        higher_is_better: else lower.
        estimate: (samples, reference) -> value and replicates. Every rank calls it alike, for it
            may share the work out. None on ranks other than 0, and on every rank if the reference
            or missing labels do not allow it.
        kinds: of features that it needs; an extractor without one of them goes without the metric.
        against_reference: whether real images of other classes make it mean little.
        of_covariance: whether it takes the covariance of its (one kind of) features, which fewer
            images than dimensions leave without full rank.
        is_share: whether it lies in 0 to 1, where its interval then ends too.
        headline: whether the one line about a finished run has it.
    """

    key: str
    title: str
    _: KW_ONLY
    higher_is_better: bool
    estimate: Callable[[Samples, ReferenceStatistics], Estimate | None]
    kinds: tuple[str, ...] = ("pool",)
    against_reference: bool = True
    of_covariance: bool = False
    is_share: bool = False
    headline: bool = False

    def name(self, space: str) -> str:
        """`FID`, or `FID (SPACE)` in another feature space than Inception's, which is "" here."""
        return f"{self.title} ({space})" if space else self.title


def share_of(hits: Tensor, groups: Tensor) -> Estimate:
    """Share of images with some property, e.g. the right class.

    Args:
        hits: (N,) bool.
        groups: (N,) int64, the group of each image.
    """
    return mean_of(hits, groups)


def mean_of(values: Tensor, groups: Tensor) -> Estimate:
    """Mean over images of a number that each image has.

    Args:
        values: (N,), bool or of any real type.
        groups: (N,) int64 from 0, the group of each image; every group has some.
    """
    sizes = torch.bincount(groups).double()
    sums = torch.bincount(groups, weights=values.double())
    rest = (sums.sum() - sums) / (sizes.sum() - sizes)
    return Estimate(float(sums.sum() / sizes.sum()), tuple(rest.tolist()))
