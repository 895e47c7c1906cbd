"""Values that mean little: of too few images, or against a reference of other classes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

OTHER_CLASSES, FEW_IMAGES = "other classes", "few images"
SURE = 10  # images expected of a class: none of them is no accident (e^-10)
SLACK = 0.02  # of the classes' shares, a difference that changes little


def few_images(num_images: int, dimensions: Mapping[str, int]) -> dict[str, str]:
    """Reason by metric why images are fewer than the dimensions of its features; may be empty.

    Args:
        dimensions: of the features, by metric that is a distance of Gaussians.
    """
    return {
        metric: (
            f"{num_images} images are fewer than the {count:,} dimensions of the features of "
            f"{metric}: their covariance has no full rank, and the value tells their number more "
            f"than their quality; take at least {count:,}, better ten times as many"
        )
        for metric, count in dimensions.items()
        if num_images < count
    }


def other_classes(
    counts: Sequence[int] | None, reference: Sequence[int] | None, *, guessed: bool = False
) -> str | None:
    """Why images are of other classes than the reference, or in other proportions, if they are.

    What chance explains, such as labels drawn at random or fewer images than classes, is no reason.

    Args:
        counts, reference: images per class, by its number; None = unknown.
        guessed: the counts are what a classifier says.
    """
    if counts is None or reference is None or not sum(counts) or not sum(reference):
        return None
    size = max(len(counts), len(reference))
    own, real = (np.pad(np.asarray(c, float), (0, size - len(c))) for c in (counts, reference))
    n, m = own.sum(), real.sum()
    p, q = own / n, real / m
    by = ", as the classifier sees them" if guessed else ""
    missing = (own == 0) & (q * n >= SURE)
    foreign = (real == 0) & (p * m >= SURE)
    if missing.any() or foreign.any() or _distance(p, q) > _by_chance(q, n * m / (n + m)):
        if (own > 0).sum() != (real > 0).sum():
            shares = f"{(own > 0).sum()} classes, the reference of {(real > 0).sum()}"
        else:
            shares = "other classes than the reference, or in other proportions"
        return (
            f"the images are of {shares}{by}: the distance is that of the classes; give a "
            "reference of the same ones"
        )
    return None


def _distance(p: np.ndarray, q: np.ndarray) -> float:
    """Total variation: the share of images that would have to change their class."""
    return float(np.abs(p - q).sum() / 2)


def _by_chance(q: np.ndarray, n: float) -> float:
    """What n images drawn from these shares hardly ever exceed: mean and four deviations."""
    variance = q * (1 - q) / n
    mean = np.minimum(2 * q, np.sqrt(2 * variance / math.pi)).sum() / 2
    return float(mean + 2 * np.sqrt((1 - 2 / math.pi) * variance.sum()) + SLACK)
