"""The mean error of x_0 that decides the brightness of images."""

import numpy as np
import pytest
import torch

from samplers import LinearVP
from tstitch.training.bias import IMAGES, TIMESTEPS, measure_bias, sample_latents

LINEAR = LinearVP()
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def test_bias_of_a_denoiser_with_an_offset():
    """Catches: noise for x_0, a wrong sign, classes mixed up, variance logits that are read."""
    x_0, y = torch.zeros(40, 1, 4, 4), torch.arange(40) % 2

    def network(x_t, t, labels):  # knows that x_0 is 0; 1e-3 too much noise in class 0, less in 1
        eps = x_t / (1 - ALPHA_BAR[int(t[0])]) ** 0.5
        offset = torch.where(labels == 0, 3e-3, -1e-3)[:, None, None, None]
        return torch.cat([eps + offset, torch.full_like(eps, 9.0)], 1)

    found = measure_bias(network, LINEAR, x_0, y)
    assert [bias.t for bias in found] == list(TIMESTEPS)
    for bias in found:
        ratio = (1 / ALPHA_BAR[bias.t] - 1) ** 0.5
        assert bias.bias == pytest.approx(-1e-3 * ratio, rel=1e-2)
        assert bias.bias_by_class == pytest.approx(5**0.5 * 1e-3 * ratio, rel=1e-2)
        assert bias.error == pytest.approx(bias.bias_by_class, rel=1e-2)


def test_measured_images_are_spread_over_the_data():
    """Catches: the first images alone, which are all of one class in a folder of classes."""

    class Space:
        def encode(self, images, generator):
            return images

    items = [(torch.full((1, 2, 2), i % 256, dtype=torch.uint8), i // 600) for i in range(6000)]
    latents, labels = sample_latents(items, Space(), torch.device("cpu"))
    assert latents.shape == (IMAGES, 1, 2, 2) and latents.abs().max() <= 1
    assert torch.bincount(labels).tolist() == [50] * 10
