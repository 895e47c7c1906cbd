"""Classifier-free guidance around a network (Ho and Salimans, arXiv 2207.12598)."""

import torch
from torch import Tensor, nn


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
        self.network = network
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
        both = torch.cat([x, x])
        labels = torch.cat([y, torch.full_like(y, self.null_class)])
        nulls = () if null is None else (torch.cat([null, null]),)
        eps, variance = self._predict(both, t, labels, *nulls)
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
        channels = x.shape[1]
        variance = out[:, channels:]
        return out[:, :channels], variance if variance.shape[1] else None
