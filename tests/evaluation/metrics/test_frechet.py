"""The Frechet distance against scipy, torch-fidelity and closed forms, without full rank too."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from evaluation.metrics.frechet import FrechetReference
from evaluation.metrics.moments import Moments

DIMENSION = 256
FULL_RANK, DEFICIENT = 1000, 100  # samples of DIMENSION values


def features(count: int, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    """float64 (count, dimension), not negative and correlated as Inception's are."""
    rng = np.random.default_rng(seed)
    scales = np.arange(1, dimension + 1) ** -0.7
    mix = np.random.default_rng(99).standard_normal((dimension, dimension)) / math.sqrt(dimension)
    noise = rng.standard_normal((count, dimension)) * scales
    return np.maximum(noise @ mix + 0.1 * (1 + seed) * scales, 0)


def distance(samples: np.ndarray, real: np.ndarray) -> float:
    """Ours, from features."""
    reference = Moments.of(torch.from_numpy(real))
    moments = Moments.of(torch.from_numpy(samples))
    return FrechetReference(reference.mean, reference.covariance).distance(
        moments.mean, moments.covariance
    )


def scipy_distance(samples: np.ndarray, real: np.ndarray) -> float:
    """With a general matrix square root of the product, as the metric was published."""
    from scipy.linalg import sqrtm

    a, b = np.cov(samples, rowvar=False), np.cov(real, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the product may be singular
        root = sqrtm(a @ b)
    shift = np.square(samples.mean(0) - real.mean(0)).sum()
    return float(shift + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


def exact_distance(samples: np.ndarray, real: np.ndarray) -> float:
    """Without a square root of a singular matrix: tr (A'A B'B)^1/2 = nuclear norm of A B'."""
    a = (samples - samples.mean(0)) / math.sqrt(len(samples) - 1)
    b = (real - real.mean(0)) / math.sqrt(len(real) - 1)
    shift = np.square(samples.mean(0) - real.mean(0)).sum()
    nuclear = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(shift + np.square(a).sum() + np.square(b).sum() - 2 * nuclear)


def gaussian(mean: list[float], deviations: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and diagonal covariance."""
    variances = torch.tensor(deviations, dtype=torch.float64).square()
    return torch.tensor(mean, dtype=torch.float64), torch.diag(variances)


SIZES = [(FULL_RANK, FULL_RANK + 200), (DEFICIENT, FULL_RANK), (FULL_RANK, DEFICIENT)]
SIZES += [(DEFICIENT, DEFICIENT + 20)]


@pytest.mark.parametrize(("count", "real_count"), SIZES)
def test_agrees_with_scipy(count, real_count):
    """Catches: another distance than the published one, NaN without full rank."""
    samples, real = features(count), features(real_count, seed=1)
    assert distance(samples, real) == pytest.approx(scipy_distance(samples, real), rel=1e-4)


@pytest.mark.parametrize(("count", "real_count"), SIZES)
def test_agrees_with_singular_values(count, real_count):
    """Catches: roots of rounding errors that add up where eigenvalues are zero."""
    samples, real = features(count), features(real_count, seed=1)
    assert distance(samples, real) == pytest.approx(exact_distance(samples, real), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3000, 1000])
def test_agrees_with_scipy_at_full_size(count):
    """Catches: errors that only 2048 dimensions show."""
    samples, real = features(count, 2048), features(3000, 2048, seed=1)
    found = distance(samples, real)
    assert found == pytest.approx(scipy_distance(samples, real), rel=1e-4)
    assert found == pytest.approx(exact_distance(samples, real), rel=1e-5)


@pytest.mark.parametrize("count", [FULL_RANK, DEFICIENT])
def test_agrees_with_torch_fidelity(count):
    """Catches: a convention of its own (N in place of N - 1, a root of the distance)."""
    samples, real = features(count), features(FULL_RANK, seed=1)
    expected = fid_statistics_to_metric(
        fid_features_to_statistics(torch.from_numpy(samples)),
        fid_features_to_statistics(torch.from_numpy(real)),
        verbose=False,
    )[KEY_METRIC_FID]
    assert distance(samples, real) == pytest.approx(expected, rel=1e-4)


def test_diagonal_gaussians():
    """Catches: variances in place of deviations, a forgotten term."""
    mean, deviations = [1.0, -2.0, 0.0], [0.5, 2.0, 3.0]
    other, others = [0.0, 1.0, 0.5], [1.5, 2.0, 0.1]
    expected = 1 + 9 + 0.25 + 1 + 0 + 2.9**2
    reference = FrechetReference(*gaussian(mean, deviations))
    assert reference.distance(*gaussian(other, others)) == pytest.approx(expected, rel=1e-12)


def test_covariances_that_do_not_commute():
    """Catches: tr (S^1/2 R^1/2), which is right for commuting covariances only."""
    tilted = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    upright = torch.tensor([[9.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # Of a 2 x 2 matrix: (tr M^1/2)^2 = tr M + 2 (det M)^1/2.
    root_trace = math.sqrt(20 + 2 * math.sqrt(27))
    mean = torch.zeros(2, dtype=torch.float64)
    for a, b in ((tilted, upright), (upright, tilted)):
        found = FrechetReference(mean, a).distance(mean, b)
        assert found == pytest.approx(14 - 2 * root_trace, rel=1e-12)


@pytest.mark.parametrize("count", [FULL_RANK, DEFICIENT, 2])
def test_identical_sets_have_none(count):
    """Catches: a distance to itself, from roots of rounding errors."""
    samples = features(count)
    assert distance(samples, samples) == 0  # neither -5.2e-07 nor 3e-16


def test_collapsed_set():
    """Catches: NaN where the covariance is zero, on either side."""
    real = features(FULL_RANK)
    collapsed = np.tile(real[:1], (50, 1))
    shift = np.square(real[0] - real.mean(0)).sum()
    expected = shift + np.trace(np.cov(real, rowvar=False))
    assert distance(collapsed, real) == pytest.approx(expected, rel=1e-6)
    assert distance(real, collapsed) == pytest.approx(expected, rel=1e-6)
    assert distance(collapsed, collapsed) == pytest.approx(0, abs=1e-9)


def test_more_images_are_nearer():
    """Catches: statistics that shrink with the number of images."""
    real = features(4000, 64, seed=1)
    found = [distance(real[:count], real) for count in (100, 400, 2000)]
    assert found == sorted(found, reverse=True)


def test_values_that_are_not_finite_stay_so():
    """Catches: a distance of damaged statistics that is cut to zero."""
    covariance = torch.eye(4, dtype=torch.float64)
    reference = FrechetReference(torch.zeros(4, dtype=torch.float64), covariance)
    assert math.isnan(
        reference.distance(torch.full((4,), math.nan, dtype=torch.float64), covariance)
    )
