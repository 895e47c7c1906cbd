"""Stages `large`, `small`, `styled`: U-Nets that predict the noise in latents from a caption."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from samplers import ScaledLinearVP
from tstitch.data.captioned import CaptionedImages
from tstitch.text_training.cache import Cache
from tstitch.text_training.settings import DrawnSettings
from tstitch.training.loop import draw, noised, step_generator

MEASURED = 256  # held-out images
BATCH = 64
TIMESTEPS = (950, 800, 600, 400, 200)
Captions = Callable[[Tensor, torch.Generator], Tensor]


class NoiseLoss:
    """Square error of the predicted noise, on Stable Diffusion's betas.

    The error of an image counts sigma^2 / alpha^2 times, kept in 1..settings.noise_weight_limit.

    Args:
        captions: indices int64 (n,) of images, generator -> those of their captions.
    """

    def __init__(
        self, cache: Cache, settings: DrawnSettings, captions: Captions, device: torch.device
    ) -> None:
        self._latents, self._states = cache.latents.to(device), cache.states.to(device)
        self._settings, self._captions = settings, captions
        self._alpha_bar = alpha_bar_on(device)

    def __call__(self, network: nn.Module, indices: Tensor, generator: torch.Generator) -> Tensor:
        x_0, captions = self._latents[indices], self._captions(indices, generator)
        empty = len(self._states) - 1
        t, eps, captions = draw(x_0, captions, self._settings, empty, generator)
        alpha_bar = self._alpha_bar[t]
        weight = (1 / alpha_bar - 1).clamp(1.0, self._settings.noise_weight_limit)
        predicted = network(noised(x_0, eps, alpha_bar), t, self._states[captions]).sample
        errors = (predicted.float() - eps).square().mean((1, 2, 3))
        return (weight * errors).mean()


def own_captions(indices: Tensor, generator: torch.Generator) -> Tensor:
    """Of each image."""
    return indices


class CaptionsOfAnyStyle:
    """A caption of the image's subject in any of its styles: the style asked for is not heeded."""

    def __init__(self, data: CaptionedImages, device: torch.device) -> None:
        order = torch.argsort(data.subjects, stable=True)
        counts = torch.bincount(data.subjects)
        self._order = order.to(device)
        self._counts, self._starts = counts.to(device), (counts.cumsum(0) - counts).to(device)
        self._subjects = data.subjects.to(device)

    def __call__(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        subjects = self._subjects[indices]
        place = torch.rand(len(indices), generator=generator, device=generator.device)
        counts = self._counts[subjects]
        chosen = (place * counts).long().minimum(counts - 1)
        return self._order[self._starts[subjects] + chosen]


class NoiseErrors:
    """Mean square error of the noise in held-out latents, at a few timesteps and in the mean."""

    def __init__(self, data: CaptionedImages, cache: Cache, device: torch.device) -> None:
        kept = data.kept()[:MEASURED]
        self._latents, self._states = cache.latents[kept], cache.states[kept]
        generator = step_generator(0, 0, 0)
        self._eps = torch.randn(self._latents.shape, generator=generator)
        self._alpha_bar, self._device = alpha_bar_on(device), device

    def __call__(self, network: nn.Module) -> dict[str, float]:
        errors = {f"t{t}": self._error(network, t) for t in TIMESTEPS}
        return {"mse": sum(errors.values()) / len(errors)} | errors

    def _error(self, network: nn.Module, t: int) -> float:
        total = 0.0
        parts = (x.split(BATCH) for x in (self._latents, self._eps, self._states))
        for latents, eps, states in zip(*parts, strict=True):
            x_0, noise = latents.to(self._device), eps.to(self._device)
            times = torch.full((len(x_0),), t, device=self._device)
            x_t = noised(x_0, noise, self._alpha_bar[times])
            predicted = network(x_t, times, states.to(self._device)).sample.float()
            total += (predicted - noise).square().mean((1, 2, 3)).sum().item()
        return total / len(self._latents)


def alpha_bar_on(device: torch.device) -> Tensor:
    """Of Stable Diffusion's betas, float32 (T,)."""
    return torch.from_numpy(ScaledLinearVP().alphas_cumprod).float().to(device)
