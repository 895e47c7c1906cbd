"""How far the images of a run are from those of its base, index by index."""

import math

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.metric import Estimate, mean_of
from evaluation.paired.runs import PairedImages, PairedMetric

WHITE = 255.0


def squared_errors(images: np.ndarray, base: np.ndarray) -> Tensor:
    """(n,) float64: mean over pixels and channels of the squared difference of two images.

    Args:
        images, base: uint8 (n, H, W, 3); the unit is grey levels, 0 to 255, squared.
    """
    difference = torch.from_numpy(images).double() - torch.from_numpy(base).double()
    return difference.square_().flatten(1).mean(1)


def _rms(paired: PairedImages) -> Estimate:
    """Mean over images of each one's root mean square difference."""
    return mean_of(paired.squared_errors.sqrt(), paired.groups)


def _feature_distance(paired: PairedImages) -> Estimate:
    """Mean over images of the Euclidean distance of their features."""
    return mean_of((paired.features - paired.base).norm(dim=1), paired.groups)


def _psnr(paired: PairedImages) -> Estimate | None:
    """Of the squared error of all images together; None if they are equal, which is infinite."""
    errors = mean_of(paired.squared_errors, paired.groups)
    every = (errors.value, *errors.replicates)
    if min(every) == 0:
        return None
    value, *replicates = (10 * math.log10(WHITE**2 / error) for error in every)
    return Estimate(value, tuple(replicates))


RMS = PairedMetric("rms", "RMS distance", estimate=_rms, unit="of 255", of_features=False)
PSNR = PairedMetric("psnr", "PSNR", estimate=_psnr, unit="dB", of_features=False)
FEATURE_DISTANCE = PairedMetric("feature_distance", "feature distance", estimate=_feature_distance)
