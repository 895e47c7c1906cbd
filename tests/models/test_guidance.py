"""Classifier-free guidance against its definition, with a network that shows its inputs."""

import pytest
import torch
from torch import nn

from models.guidance import GuidedDenoiser

NULL = 10


class Affine(nn.Module):
    """eps = (label + 1) * x in every channel, variance logits = label; counts its batch."""

    def __init__(self, with_variance: bool = True) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.ones(()))
        self.with_variance = with_variance
        self.batches: list[int] = []

    def forward(self, x, t, y):
        self.batches.append(len(x))
        label = y.to(x.dtype)[:, None, None, None]
        eps = (label + 1) * x * self.unit
        return torch.cat([eps, label.expand_as(x)], 1) if self.with_variance else eps


def expected(x, y, scale, channels):
    label = y.float()[:, None, None, None]
    cond, uncond = (label + 1) * x, (NULL + 1) * x
    guided = uncond + scale * (cond - uncond)
    return torch.cat([guided[:, :channels], cond[:, channels:]], 1)


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("scale", [0.0, 1.5, 4.0])
def test_only_the_first_channels_are_guided(scale, channels):
    """Catches guidance on all channels, on none, or with the roles swapped."""
    x, y = torch.randn(2, 4, 3, 3), torch.tensor([2, 5])
    network = Affine()
    denoiser = GuidedDenoiser(network, scale=scale, channels=channels, null_class=NULL)
    eps, variance = denoiser(x, 10.0, y)
    torch.testing.assert_close(eps, expected(x, y, scale, channels))
    torch.testing.assert_close(variance, y.float()[:, None, None, None].expand_as(x))
    assert network.batches == [4]


def test_scale_one_needs_one_evaluation():
    """Catches a wasted second evaluation, which would falsify every timing at scale 1."""
    network = Affine(with_variance=False)
    denoiser = GuidedDenoiser(network, scale=1.0, channels=3, null_class=NULL)
    x, y = torch.randn(2, 1, 3, 3), torch.tensor([0, 9])
    eps, variance = denoiser(x, 10.0, y)
    assert network.batches == [2]
    assert variance is None
    torch.testing.assert_close(eps, (y.float()[:, None, None, None] + 1) * x)


def test_low_precision_network_returns_float32():
    """Catches a sampler state that silently falls to the network's bfloat16."""
    denoiser = GuidedDenoiser(Affine().bfloat16(), scale=1.5, channels=3, null_class=NULL)
    eps, variance = denoiser(torch.randn(1, 1, 2, 2), 0.5, torch.tensor([1]))
    assert eps.dtype == variance.dtype == torch.float32
