"""Classifier-free guidance around a network (Ho and Salimans, arXiv 2207.12598)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.unet_split import repeated


class GuidedDenoiser:
    """A network as the sampler sees it: a guided prediction and, if there are any, variance logits.

    p = p_uncond + scale * (p_cond - p_uncond), whatever is predicted, on the first
    min(channels, C) channels;
    the others and the variance are the conditional ones. The published DiT numbers guide three
    of four latent channels.

    Args:
        network: (x, t, y) -> (N, 2C, H, W) prediction and variance logits, or (N, C, H, W); takes
            what images bring along for the null condition as a fourth argument, if anything.
        scale: 1 disables guidance and its second evaluation.
        channels: how many latent channels are guided.
        null_class: label of the unconditional evaluation.
    """

    def __init__(self, network: nn.Module, *, scale: float, channels: int, null_class: int) -> None:
        self.network: Any = network
        self.scale = scale
        self.channels = channels
        self.null_class = null_class
        self.dtype = next(network.parameters()).dtype

    def __call__(
        self, x: Tensor, t: float | Tensor, y: Tensor, null: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """One step's prediction in one batched forward.

        Args:
            x: latents (N, C, H, W).
            t: of the network's own process, for the whole batch, may be fractional; a number, or a
                float32 tensor without dimensions on the device of x.
            y: labels (N,) int64.
            null: what each image has in place of a null condition of the network's own, (N, ...).

        Returns:
            the prediction (N, C, H, W) and variance logits (N, C, H, W) or None, in the dtype of x.
        """
        if self.scale == 1:
            return self._predict(x, t, y)
        both, labels = self._both(x, y)
        nulls = () if null is None else (torch.cat([null, null]),)
        return self._guided(*self._predict(both, t, labels, *nulls))

    def at_times(
        self, x: Tensor, times: Sequence[float], y: Tensor
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Predictions at several timesteps from one encoding, of x at the first of them.

        For networks that have `encode` and `decode`. The decoder runs once, on a batch of all
        timesteps, step-major; one timestep alone is the same as a call.

        Returns:
            of each timestep what a call returns.
        """
        rows, labels = (x, y) if self.scale == 1 else self._both(x, y)
        count, size = len(times), len(rows)
        t = torch.tensor(times, dtype=torch.float32, device=x.device).repeat_interleave(size)
        features = self.network.encode(rows.to(self.dtype), t[:size], labels)
        out = self.network.decode(repeated(features, count), t, labels.repeat(count)).to(x.dtype)
        parts = [self._parted(part, x.shape[1]) for part in out.split(size)]
        return parts if self.scale == 1 else [self._guided(*part) for part in parts]

    def _both(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The conditional batch, then the unconditional one."""
        return torch.cat([x, x]), torch.cat([y, torch.full_like(y, self.null_class)])

    def _guided(self, eps: Tensor, variance: Tensor | None) -> tuple[Tensor, Tensor | None]:
        cond, uncond = eps.chunk(2)
        k = self.channels
        guided = uncond[:, :k] + self.scale * (cond[:, :k] - uncond[:, :k])
        eps = torch.cat([guided, cond[:, k:]], dim=1)
        return eps, None if variance is None else variance.chunk(2)[0]

    def _predict(
        self, x: Tensor, t: float | Tensor, y: Tensor, *null: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(t, Tensor):
            times = t.repeat(len(x))
        else:
            times = torch.full((len(x),), t, dtype=torch.float32, device=x.device)
        out = self.network(x.to(self.dtype), times, y, *null).to(x.dtype)
        return self._parted(out, x.shape[1])

    def _parted(self, out: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
        variance = out[:, channels:]
        return out[:, :channels], variance if variance.shape[1] else None
