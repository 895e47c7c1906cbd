"""Stages `lcm`, `lcm_small`: U-Nets distilled to a few steps (LCM, arXiv 2310.04378)."""

import torch
from torch import Tensor, nn

from samplers import NUM_TIMESTEPS
from tstitch.data.captioned import CaptionedImages
from tstitch.text_training.cache import Cache
from tstitch.text_training.denoiser import MEASURED, alpha_bar_on
from tstitch.text_training.settings import ConsistencySettings
from tstitch.training.loop import noised, step_generator

# Of diffusers' LCMScheduler: how x_t and the predicted x_0 are mixed, so that x_0 is kept at t = 0.
SIGMA_DATA, TIMESTEP_SCALING = 0.5, 10.0
HUBER = 1e-3


class ConsistencyLoss:
    """Distance of the x_0 from x_t to the x_0 from where a guided teacher's step leads.

    The step is one of DDIM, from a timestep of `settings.ddim_steps` to the next (arXiv
    2310.04378, Eqs. 14 to 17; fixed guidance). The second x_0 is the network's own, held fixed;
    the distance is pseudo-Huber's.

    Args:
        teacher: the U-Net that is distilled, frozen, on the device.
    """

    def __init__(
        self, cache: Cache, teacher: nn.Module, settings: ConsistencySettings, device: torch.device
    ) -> None:
        self._latents, self._states = cache.latents.to(device), cache.states.to(device)
        self._teacher, self._settings = teacher, settings
        self._alpha_bar = alpha_bar_on(device)

    def __call__(self, network: nn.Module, indices: Tensor, generator: torch.Generator) -> Tensor:
        settings = self._settings
        x_0, states = self._latents[indices], self._states[indices]
        skip = NUM_TIMESTEPS // settings.ddim_steps
        drawn = torch.randint(
            settings.ddim_steps, (len(x_0),), generator=generator, device=generator.device
        )
        t = (drawn + 1) * skip - 1
        earlier = (t - skip).clamp_min(0)
        eps = torch.randn(x_0.shape, generator=generator, device=generator.device)
        x_t = noised(x_0, eps, self._alpha_bar[t])
        with torch.no_grad():
            target = self.x_0(network, self._step(x_t, t, earlier, states), earlier, states)
        difference = self.x_0(network, x_t, t, states) - target
        return ((difference.square() + HUBER**2).sqrt() - HUBER).mean()

    def _step(self, x_t: Tensor, t: Tensor, earlier: Tensor, states: Tensor) -> Tensor:
        """Where one step of DDIM leads by the teacher's guided noise."""
        empty = self._states[-1:].expand_as(states)
        both = torch.cat([empty, states])
        plain, asked = self._teacher(torch.cat([x_t, x_t]), torch.cat([t, t]), both).sample.chunk(2)
        eps = (plain + self._settings.guidance * (asked - plain)).float()
        return noised(self._clean(x_t, t, eps), eps, self._alpha_bar[earlier])

    def x_0(self, network: nn.Module, x_t: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """What a student makes of x_t (N, C, H, W) at t (N,), float32 (N, C, H, W)."""
        eps = network(x_t, t, states).sample.float()
        scaled = (TIMESTEP_SCALING * t)[:, None, None, None]
        kept = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        made = scaled / (scaled**2 + SIGMA_DATA**2).sqrt()
        return kept * x_t + made * self._clean(x_t, t, eps)

    def _clean(self, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar[t][:, None, None, None]
        return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


class ConsistencyErrors:
    """The loss over held-out images, of the same draws at every call."""

    def __init__(self, data: CaptionedImages, loss: ConsistencyLoss) -> None:
        self._kept, self._loss = data.kept()[:MEASURED], loss

    def __call__(self, network: nn.Module) -> dict[str, float]:
        parameter = next(network.parameters())
        generator = step_generator(0, 0, 0, parameter.device)
        kept = self._kept.to(parameter.device)
        return {"consistency": self._loss(network, kept, generator).item()}
