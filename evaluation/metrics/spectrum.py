"""Amplitudes of images or latents over spatial frequency."""

import torch
from torch import Tensor


def radial_log_amplitude(x: Tensor, bins: int) -> list[float]:
    """Mean log10 amplitude of the two-dimensional Fourier transform per bin, lowest first.

    Args:
        x: (N, C, H, H); the mean is over images, channels and directions.
        bins: of equal width over radial frequencies 0 to pi, the last one includes its end;
            corners of the spectrum above pi are left out.

    Raises:
        ValueError: more bins than H / 2, of which one would be empty.
    """
    side = x.shape[-1]
    if not 1 <= bins <= side // 2:
        raise ValueError(f"bins={bins}: choose 1 to {side // 2} for images of {side} pixels")
    amplitude = torch.fft.fft2(x.double()).abs().clamp(min=1e-12).log10().mean((0, 1))
    frequency = torch.fft.fftfreq(side, dtype=torch.float64) * 2  # in units of pi
    radius = (frequency[:, None] ** 2 + frequency**2).sqrt()
    place = (radius * bins).floor().long()
    place[(radius - 1).abs() < 1e-9] = bins - 1
    inside = place < bins
    sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, place[inside], amplitude[inside])
    counts = torch.bincount(place[inside], minlength=bins)
    return (sums / counts).tolist()


def half_way(values: list[float]) -> float:
    """Where a course has made half of its whole change, in steps from its beginning.

    Between two steps by linear interpolation; the first such place, if there are several.
    """
    first, last = values[0], values[-1]
    if first == last:
        return 0.0
    done = [(value - first) / (last - first) for value in values]
    for step, (before, after) in enumerate(zip(done, done[1:], strict=False)):
        if before < 0.5 <= after:
            return step + (0.5 - before) / (after - before)
    return 0.0
