"""The losses of TiUE (arXiv 2505.21960, Sec. 3) and of the score of what a student makes.

Variational score distillation as in ProlificDreamer (arXiv 2305.16213, Eq. 9) and SwiftBrush
(arXiv 2312.05239, Eq. 4): no images, and no trajectories of the teacher.
"""

import torch
from torch import Tensor


def vsd_gradient(teacher: Tensor, fake: Tensor, alpha_bar: Tensor) -> Tensor:
    """sigma_t^2 (teacher - fake), what is not finite put to a number.

    Args:
        teacher, fake: guided noises that the teacher and the fake score predict, (B, C, H, W).
        alpha_bar: of each image's timestep, (B,).

    Returns:
        (B, C, H, W): where x_0 is to move away from, per value.
    """
    return torch.nan_to_num((1 - _spread(alpha_bar)) * (teacher - fake))


def vsd_loss(x_0: Tensor, gradient: Tensor) -> Tensor:
    """Half the mean square of a difference whose derivative by x_0 is gradient / x_0.numel().

    Args:
        x_0: what the student makes, (B, C, H, W).
        gradient: of `vsd_gradient`; held fixed.
    """
    target = (x_0 - gradient).detach()
    return 0.5 * (x_0 - target).square().mean()


def kl_divergence(noises: Tensor) -> Tensor:
    """From N(0, 1), of a normal distribution of each predicted noise's own mean and variance.

    Args:
        noises: (N, B, C, H, W), of N decoders.

    Returns:
        (N, B), nats: 0 for mean 0 and (unbiased) variance 1 over C, H and W.
    """
    variance, mean = torch.var_mean(noises.flatten(2), dim=2)
    return 0.5 * (variance + mean.square() - 1 - variance.log())


def fake_loss(predicted: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Mean square error of the noise, weighted by alpha_bar: what the fake score learns from."""
    return (_spread(alpha_bar) * (predicted - noise).square()).mean()


def _spread(values: Tensor) -> Tensor:
    return values[:, None, None, None]
