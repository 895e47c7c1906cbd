"""KID against torch-fidelity and plain sums over pairs."""

import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

import evaluation.metrics.blocks
from evaluation.metrics.kernel_distance import kernel_sums, mean_off_diagonal

DIMENSION = 12


def features(count: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIMENSION, generator=generator, dtype=torch.float64) + shift


def sums(samples: torch.Tensor, real: torch.Tensor, num_groups: int = 5):
    groups = torch.arange(len(samples)) * num_groups // len(samples)
    return kernel_sums(samples, groups, real, mean_off_diagonal(real))


def plain(samples: torch.Tensor, real: torch.Tensor) -> float:
    """Loops over pairs."""

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return (float(x @ y) / DIMENSION + 1) ** 3

    def within(values: torch.Tensor) -> float:
        pairs = [(i, j) for i in range(len(values)) for j in range(len(values)) if i != j]
        return sum(kernel(values[i], values[j]) for i, j in pairs) / len(pairs)

    across = sum(kernel(x, y) for x in samples for y in real) / (len(samples) * len(real))
    return within(samples) + within(real) - 2 * across


@pytest.fixture(params=[None, 300, 1], ids=["one block", "few rows", "one row"])
def blocks(request, monkeypatch):
    """The same with blocks of another size."""
    if request.param:
        monkeypatch.setattr(evaluation.metrics.blocks, "BLOCK_ELEMENTS", request.param)


def test_agrees_with_torch_fidelity(blocks):
    """Catches: the biased estimator, another kernel, a lost block."""
    count = 80
    samples, real = features(count, shift=0.3), features(count, seed=1)
    expected = kid_features_to_metric(
        samples, real, kid_subsets=1, kid_subset_size=count, rng_seed=0, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )[KEY_METRIC_KID_MEAN]  # fmt: skip
    assert sums(samples, real).distance() == pytest.approx(expected, rel=1e-10)


def test_sets_of_different_size():
    """Catches: the number of one set used for both."""
    samples, real = features(17, shift=0.3), features(29, seed=1)
    assert sums(samples, real).distance() == pytest.approx(plain(samples, real), rel=1e-10)


def test_without_a_group(blocks):
    """Catches: pairs of the left-out group with others that stay."""
    samples, real = features(23, shift=0.3), features(19, seed=1)
    found = sums(samples, real)
    groups = torch.arange(23) * 5 // 23
    for group in range(5):
        expected = plain(samples[groups != group], real)
        assert found.distance(group) == pytest.approx(expected, rel=1e-10)


def test_unbiased():
    """Catches: a distance of sets of one distribution that is not zero on average."""
    values = [sums(features(40, seed=s), features(60, seed=1000 + s)).distance() for s in range(60)]
    mean = sum(values) / len(values)
    error = torch.tensor(values).std() / len(values) ** 0.5
    assert abs(mean) < 4 * error and min(values) < 0


def test_identical_sets_are_near():
    """Catches: a sign or a factor of two in the mixed term."""
    values = features(400)
    own = float((values.square().sum(1) / DIMENSION + 1).pow(3).mean())
    # The pairs of an image with its copy are in the mixed term alone.
    expected = -2 * (own - mean_off_diagonal(values)) / 400
    assert sums(values, values).distance() == pytest.approx(expected, rel=1e-9)
    assert abs(expected) < 0.05 and sums(values, values + 1).distance() > 1


def test_mean_off_diagonal(blocks):
    """Catches: pairs of a vector with itself."""
    values = features(21)
    kernels = (values @ values.T / DIMENSION + 1) ** 3
    expected = float((kernels.sum() - kernels.trace()) / (21 * 20))
    assert mean_off_diagonal(values) == pytest.approx(expected, rel=1e-12)
