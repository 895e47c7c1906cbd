"""Samples of random embeddings, for what is measured with prompts."""

import torch
import torch.nn.functional as F

from evaluation.metrics.comparison import Samples
from evaluation.metrics.jackknife import group_ranges
from evaluation.metrics.texts import Texts

WIDTH, GROUPS = 6, 5


def unit(*shape: int, seed: int) -> torch.Tensor:
    """Unit vectors (*shape, WIDTH) float64."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, WIDTH, generator=generator).double(), dim=-1)


def samples(images: torch.Tensor, texts: Texts | None) -> Samples:
    """Of embeddings (N, WIDTH), in GROUPS groups."""
    groups = group_ranges(len(images), GROUPS)
    own = {n: {"embedding": images[g.start : g.stop]} for n, g in enumerate(groups)}
    return Samples(own, groups, {"embedding": WIDTH}, texts=texts)
