"""Distances of images to those of the base: known shifts, permutations, images that are equal."""

import math

import numpy as np
import pytest
import torch

from evaluation.metrics.jackknife import interval
from evaluation.paired.catalogue import measure_paired
from evaluation.paired.closeness import squared_errors
from evaluation.paired.runs import PairedImages

COUNT, GROUPS = 40, 8
GROUP_OF = torch.arange(COUNT) // (COUNT // GROUPS)


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (COUNT, 6, 5, 3), dtype=np.uint8)


def measured(images: np.ndarray, base: np.ndarray) -> dict:
    """Every comparison; the features of an image are the means of its channels."""
    features, others = (torch.from_numpy(x).double().mean((1, 2)) for x in (images, base))
    errors = squared_errors(images, base)
    return measure_paired(PairedImages(features, others, errors, None, GROUP_OF), "means")


@pytest.mark.parametrize("shift", [1, 7, 55])
def test_a_shift_of_all_pixels(shift):
    """Catches: uint8 that wraps around, sums in place of means, a scale of 0 to 1."""
    found = measured(pixels() + np.uint8(shift), pixels())
    assert found["rms"].value == pytest.approx(shift, rel=1e-12)
    assert (found["rms"].low, found["rms"].high) == pytest.approx((shift, shift), rel=1e-9)
    assert found["psnr"].value == pytest.approx(20 * math.log10(255 / shift), rel=1e-12)
    assert found["feature_distance"].value == pytest.approx(math.sqrt(3) * shift, rel=1e-12)
    reverse = measured(pixels(), pixels() + np.uint8(shift))
    assert reverse["rms"] == found["rms"]


def test_equal_images():
    """Catches: a distance out of rounding, log of 0 in place of no PSNR."""
    found = measured(pixels(), pixels())
    assert "psnr" not in found and "diversity" not in found  # without labels
    for key in ("rms", "feature_distance"):
        assert (found[key].value, found[key].low, found[key].high) == (0, 0, 0)


def test_pairs_that_are_permuted():
    """Catches: distances of sets of images, which do not see which belong together."""
    base = pixels()
    near, apart = measured(base + np.uint8(1), base), measured(np.roll(base, 1, axis=0), base)
    assert apart["rms"].value > 50 * near["rms"].value
    assert apart["psnr"].value < near["psnr"].value - 30
    assert apart["feature_distance"].value > near["feature_distance"].value


def test_mean_over_images_and_its_interval():
    """Catches: the root of the mean in place of the mean of roots, replicates of other groups."""
    base = pixels()
    shifts = np.arange(COUNT, dtype=np.uint8)[:, None, None, None]
    found = measured(base + shifts, base)
    assert found["rms"].value == pytest.approx(np.mean(np.arange(COUNT)))
    means = [np.delete(np.arange(COUNT), np.flatnonzero(g == GROUP_OF)).mean() for g in range(8)]
    assert found["rms"].replicates == pytest.approx(means)
    bounds = interval(found["rms"].value, means)
    assert (found["rms"].low, found["rms"].high) == pytest.approx((bounds.low, bounds.high))
    error = (np.arange(COUNT) ** 2).mean()
    assert found["psnr"].value == pytest.approx(10 * math.log10(255**2 / error))


def test_names_say_what_depends_on_the_features():
    """Catches: a distance in a classifier's features under the same name as in Inception's."""
    names = {key: entry.name for key, entry in measured(pixels(1), pixels()).items()}
    assert names["rms"] == "RMS distance (of 255)" and names["psnr"] == "PSNR (dB)"
    assert names["feature_distance"] == "feature distance (means)"


def test_other_images_are_refused():
    """Catches: features of two runs that are cut to the shorter one."""
    features, errors = torch.zeros(4, 3), torch.zeros(4)
    with pytest.raises(ValueError, match="give two runs of the same images") as caught:
        PairedImages(features, torch.zeros(5, 3), errors, None, torch.arange(4))
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"one squared error, per image \(4\)"):
        PairedImages(features, features, torch.zeros(3), None, torch.arange(4))
