"""Every replicate is the metric, computed from scratch, of the images outside its group."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evaluation.metrics.estimates import (
    Estimate,
    FeatureReference,
    estimate_inception_score,
    estimate_kid,
    estimate_precision,
    estimate_recall,
    estimate_share,
    frechet_replicates,
)
from evaluation.metrics.frechet import FrechetReference
from evaluation.metrics.inception_score import inception_score, score_sums
from evaluation.metrics.jackknife import group_ranges
from evaluation.metrics.kernel_distance import kernel_sums
from evaluation.metrics.moments import Moments
from evaluation.metrics.neighbours import squared_radii

COUNT, REAL, DIMENSION, CLASSES, GROUPS = 103, 140, 9, 6, 8
RANGES = group_ranges(COUNT, GROUPS)  # of 12 and 13 images
NUMBERS = torch.repeat_interleave(torch.tensor([len(group) for group in RANGES]))


def features(count: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64) + shift


SAMPLES, REFERENCE = features(COUNT, 0, 0.4), features(REAL, 1)


def check(estimate: Estimate, measure: Callable[[Tensor], float], rel: float = 1e-9) -> None:
    """Against measure(indices of the images that are kept)."""
    everything = torch.arange(COUNT)
    assert estimate.value == pytest.approx(measure(everything), rel=rel)
    expected = [measure(everything[group != NUMBERS]) for group in range(GROUPS)]
    assert list(estimate.replicates) == pytest.approx(expected, rel=rel)
    assert len(set(expected)) > GROUPS / 2  # or the order of groups would not show


def test_frechet():
    """Catches: a group that is taken away twice, or from the mean alone."""
    real = Moments.of(REFERENCE)
    reference = FrechetReference(real.mean, real.covariance)
    total, groups = Moments.of(SAMPLES), [SAMPLES[g.start : g.stop] for g in RANGES]
    estimate = Estimate(
        reference.distance(total.mean, total.covariance),
        tuple(frechet_replicates(reference, total, groups)),
    )

    def measure(kept: Tensor) -> float:
        values = SAMPLES[kept]
        return reference.distance(values.mean(0), values.T.cov())

    check(estimate, measure)


@pytest.mark.parametrize("splits", [1, 3])
def test_inception_score(splits):
    """Catches: splits whose borders move when a group is left out."""
    logits = 3 * torch.randn(COUNT, CLASSES, generator=torch.Generator().manual_seed(2))
    split = torch.arange(COUNT) * splits // COUNT
    sums = [score_sums(logits[g.start : g.stop], split[g.start : g.stop], splits) for g in RANGES]
    check(
        estimate_inception_score(sums),
        lambda kept: inception_score(score_sums(logits[kept], split[kept], splits)),
    )


def test_kid():
    """Catches: pairs across groups that are counted, or left out, twice."""
    reference = FeatureReference(REFERENCE)

    def measure(kept: Tensor) -> float:
        one = torch.zeros(len(kept), dtype=torch.long)
        sums = kernel_sums(SAMPLES[kept], one, REFERENCE, reference.kernel_mean)
        return sums.distance()

    check(estimate_kid(SAMPLES, NUMBERS, reference), measure)


def test_precision():
    """Catches: precision and recall swapped, groups in another order."""

    def measure(kept: Tensor) -> float:
        inside = torch.cdist(SAMPLES[kept], REFERENCE) ** 2 <= squared_radii(REFERENCE)
        return float(inside.any(1).double().mean())

    check(estimate_precision(SAMPLES, NUMBERS, FeatureReference(REFERENCE)), measure)


def test_recall():
    """Catches: a real image that is lost although the balls of another group hold it."""
    radii = squared_radii(SAMPLES)

    def measure(kept: Tensor) -> float:
        inside = torch.cdist(REFERENCE, SAMPLES[kept]) ** 2 <= radii[kept]
        return float(inside.any(1).double().mean())

    estimate = estimate_recall(SAMPLES, NUMBERS, FeatureReference(REFERENCE))
    check(estimate, measure)
    assert max(estimate.replicates) <= estimate.value


def test_share():
    """Catches: replicates divided by the number of all images."""
    hits = torch.rand(COUNT, generator=torch.Generator().manual_seed(3)) < 0.4
    check(estimate_share(hits, NUMBERS), lambda kept: float(hits[kept].double().mean()))


def test_share_of_all_and_none():
    """Catches: a division by zero where nothing is hit."""
    none = torch.zeros(COUNT, dtype=torch.bool)
    assert estimate_share(none, NUMBERS) == Estimate(0.0, (0.0,) * GROUPS)
    assert estimate_share(~none, NUMBERS) == Estimate(1.0, (1.0,) * GROUPS)
