"""Moments that add up: over groups, over ranks in any order, and against numpy."""

import itertools

import numpy as np
import pytest
import torch

from evaluation.metrics.moments import Moments

COUNT, DIMENSION = 120, 7


def features(count: int = COUNT, seed: int = 0) -> torch.Tensor:
    """Correlated features far from zero, float32 as an extractor gives them."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(DIMENSION, DIMENSION, generator=generator)
    return torch.randn(count, DIMENSION, generator=generator) @ mix + 10


def same(a: Moments, b: Moments, rtol: float = 1e-12) -> None:
    assert a.count == b.count
    torch.testing.assert_close(a.total, b.total, rtol=rtol, atol=0)
    torch.testing.assert_close(a.outer, b.outer, rtol=rtol, atol=0)


def test_mean_and_covariance_are_those_of_numpy():
    """Catches: N in place of N - 1, rows taken for columns."""
    values = features()
    moments = Moments.of(values)
    wide = values.double().numpy()
    np.testing.assert_allclose(moments.mean, wide.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        moments.covariance, np.cov(wide, rowvar=False), rtol=1e-9, atol=1e-11
    )


def test_products_are_float64():
    """Catches: sums of float32 products, whose differences lose every digit of a covariance."""
    values = features() * 1e-3 + 100
    expected = np.cov(values.double().numpy(), rowvar=False)
    covariance = Moments.of(values).covariance
    assert covariance.dtype == Moments.of(values).mean.dtype == torch.float64
    np.testing.assert_allclose(covariance, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_sum_is_the_union():
    """Catches: means that are averaged without their counts."""
    values = features()
    same(Moments.of(values[:13]) + Moments.of(values[13:]), Moments.of(values))


def test_difference_is_the_rest():
    """Catches: a group that is not, or not entirely, taken away."""
    values = features()
    rest = Moments.of(values) - Moments.of(values[40:70])
    expected = np.cov(torch.cat([values[:40], values[70:]]).double().numpy(), rowvar=False)
    same(rest, Moments.of(torch.cat([values[:40], values[70:]])))
    np.testing.assert_allclose(rest.covariance, expected, rtol=1e-9, atol=1e-11)


def test_none_changes_nothing():
    """Catches: a rank without images that adds a row of zeros."""
    moments = Moments.of(features())
    same(Moments.none(DIMENSION) + moments, moments, rtol=0)
    same(moments + Moments.of(features()[:0]), moments, rtol=0)


def test_sums_do_not_share_memory_with_their_parts():
    """Catches: a total of zeros that is a view, and grows when a matrix is added in place."""
    empty = Moments.none(DIMENSION)
    empty.outer.add_(1)
    assert not empty.total.any()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_ranks_in_any_order(order):
    """Catches: moments that depend on which rank had which images."""
    parts = [features()[rank::4] for rank in range(4)]
    total = Moments.none(DIMENSION)
    for rank in order:
        total = total + Moments.of(parts[rank])
    same(total, Moments.of(features()))
    expected = Moments.of(features()).covariance
    torch.testing.assert_close(total.covariance, expected, rtol=1e-11, atol=1e-12)
