"""Autoguidance: a smaller denoiser guides the larger ones (Karras et al., arXiv 2406.02507)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Denoiser


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoguidance:
    """Denoisers of a pair, those after the guide guided by it (Sec. 4 of the paper).

    p = p_guide + scale * (p - p_guide) on the first min(channels, C) channels, with the same x, t
    and condition; the others and the variance are the guided denoiser's. The weights add up to 1,
    and at one x and t all kinds of prediction are affine in one another, so that p may be any of
    them, as long as both are of one kind: denoisers are combined as `Matching` gives them.
    """

    guide: int  # index of a denoiser, small to large; it and those before it stay unguided
    scale: float  # at least 0; 1 = off, and the guide is not asked
    channels: int  # at least 1

    def __call__(self, denoisers: Sequence[Denoiser]) -> list[Denoiser]:
        """As many denoisers, in the same order, which ask the given ones."""
        if self.scale == 1:
            return list(denoisers)
        first = self.guide + 1
        guide = denoisers[self.guide]
        return [*denoisers[:first], *(self._guided(good, guide) for good in denoisers[first:])]

    def _guided(self, denoiser: Denoiser, guide: Denoiser) -> Denoiser:
        def guided(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            good, variance = denoiser(x, t, y)
            bad, _ = guide(x, t, y)
            k = self.channels
            extrapolated = bad[:, :k] + self.scale * (good[:, :k] - bad[:, :k])
            return torch.cat([extrapolated, good[:, k:]], dim=1), variance

        return guided
