"""Losses of students and fake scores against their definitions."""

import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as kl_of_torch

from tstitch.distil.objective import fake_loss, kl_divergence, vsd_gradient, vsd_loss


def test_derivative_of_the_distillation_loss():
    """Catches: a mean over the wrong axes, a factor 2, a gradient through its own target."""
    generator = torch.Generator().manual_seed(0)
    x_0, gradient = torch.randn(2, 3, 2, 5, 5, generator=generator, dtype=torch.float64)
    x_0.requires_grad_(True)
    loss = vsd_loss(x_0, gradient)
    loss.backward()
    torch.testing.assert_close(x_0.grad, gradient / x_0.numel())
    assert loss.item() == pytest.approx(gradient.square().mean().item() / 2)


def test_gradient_of_the_scores():
    """Catches: the two scores swapped, another weight than sigma^2, values that are not finite."""
    teacher, fake = torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), 1.0)
    found = vsd_gradient(teacher, fake, torch.tensor([0.25, 1.0]))
    assert found[0].eq(1.5).all() and found[1].eq(0).all()
    teacher[0, 0, 0, 0], teacher[0, 0, 1, 1] = float("nan"), float("inf")
    found = vsd_gradient(teacher, fake, torch.tensor([0.25, 1.0]))
    assert torch.isfinite(found).all() and found[0, 0, 0, 0] == 0 and found[0, 0, 1, 1] > 1e30


def test_divergence_is_that_of_normal_distributions():
    """Catches: a biased variance, a standard deviation in its place, moments over the batch."""
    generator = torch.Generator().manual_seed(1)
    noises = torch.randn(3, 4, 2, 5, 5, generator=generator, dtype=torch.float64) * 1.7 + 0.4
    found = kl_divergence(noises)
    assert found.shape == (3, 4)
    values = noises.flatten(2)
    expected = kl_of_torch(Normal(values.mean(2), values.std(2)), Normal(0, 1))
    torch.testing.assert_close(found, expected)


def test_divergence_of_standard_moments_is_zero():
    """Catches: a constant that is missing or one too much."""
    noises = torch.randn(2, 3, 4, 6, 6, dtype=torch.float64)
    flat = noises.flatten(2)
    standard = (flat - flat.mean(2, keepdim=True)) / flat.std(2, keepdim=True)
    assert kl_divergence(standard.view_as(noises)).abs().max() < 1e-12


def test_error_of_the_fake_score():
    """Catches: weights by noise in place of signal, or squared once more."""
    predicted, noise = torch.full((2, 1, 2, 2), 2.0), torch.zeros(2, 1, 2, 2)
    assert fake_loss(predicted, noise, torch.tensor([0.5, 0.25])).item() == pytest.approx(1.5)
