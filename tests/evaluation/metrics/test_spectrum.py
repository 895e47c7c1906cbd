"""Amplitude by frequency, and when a course has made half of its change."""

import math

import pytest
import torch

from evaluation.metrics.spectrum import half_way, radial_log_amplitude


@pytest.mark.parametrize(("waves", "bin"), [(1, 0), (6, 4), (13, 9), (14, 9)])
def test_a_wave_is_in_its_bin(waves, bin):
    """Catches: frequencies of the wrong unit, a spectrum that is shifted by half."""
    x = torch.cos(2 * math.pi * waves * torch.arange(28.0).double() / 28).expand(2, 1, 28, 28)
    noise = 1e-3 * torch.randn(2, 1, 28, 28, generator=torch.manual_seed(0))
    with_wave, without = radial_log_amplitude(x + noise, 10), radial_log_amplitude(noise, 10)
    added = [a - b for a, b in zip(with_wave, without, strict=True)]
    assert added[bin] > 0.02
    assert all(abs(value) < 1e-3 for i, value in enumerate(added) if i != bin)


def test_white_noise_is_flat():
    """Catches: bins that are sums, corners of the spectrum in the last bin."""
    noise = torch.randn(64, 3, 32, 32, generator=torch.manual_seed(0))
    found = radial_log_amplitude(noise, 8)
    assert max(found) - min(found) < 0.1
    louder = radial_log_amplitude(10 * noise, 8)
    assert louder == pytest.approx([value + 1 for value in found])


def test_too_many_bins():
    """Catches: a bin without a frequency."""
    with pytest.raises(ValueError, match="bins=15: choose 1 to 14"):
        radial_log_amplitude(torch.zeros(1, 1, 28, 28), 15)


@pytest.mark.parametrize(
    ("values", "step"), [([0, 1, 2, 3, 4], 2), ([5, 5, 1, 1], 1.5), ([0, 4, 4], 0.5), ([1, 1], 0)]
)
def test_half_way(values, step):
    """Catches: falling courses, places between two steps."""
    assert half_way(values) == pytest.approx(step)
