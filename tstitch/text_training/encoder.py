"""Stages `encoder` and `judge`: texts and images trained on each other (CLIP, arXiv 2103.00020)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tstitch.data.captioned import CaptionedImages
from tstitch.text_training.networks import DualEncoder
from tstitch.training.latents import to_float

MEASURED = 500  # held-out images among which the right one is sought
BATCH = 100
WHITE = 255.0


class ContrastiveLoss:
    """Cross entropy of which text belongs to which image of a batch, both ways.

    Args:
        data: images and captions.
        tokens: int64 (N, L), of its captions, ended and padded by one token.
        end: that token.
        shift: pixels, up to which images are moved each way over white.
    """

    def __init__(self, data: CaptionedImages, tokens: Tensor, end: int, shift: int) -> None:
        self._data, self._tokens, self._end, self._shift = data, tokens, end, shift

    def __call__(self, network: nn.Module, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = self._data.images[indices.cpu()].to(indices.device)
        tokens = trimmed(self._tokens[indices.cpu()], self._end).to(indices.device)
        texts, found = network(tokens, to_float(moved(images, self._shift, generator)))
        similar = texts @ found.T * _dual(network).scale()
        right = torch.arange(len(indices), device=indices.device)
        return (F.cross_entropy(similar, right) + F.cross_entropy(similar.T, right)) / 2


def trimmed(tokens: Tensor, end: int) -> Tensor:
    """Tokens (N, L) without the last columns that hold nothing but padding after the end.

    What a causal encoder says of the earlier ones does not change.
    """
    longest = int((tokens != end).sum(1).max()) + 1
    return tokens[:, :longest]


def moved(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """uint8 images (N, C, S, S), all moved alike by up to `shift` pixels each way over white."""
    if not shift:
        return images
    place = torch.randint(0, 2 * shift + 1, (2,), generator=generator, device=generator.device)
    top, left = place.tolist()
    side = images.shape[-1]
    padded = F.pad(images, (shift,) * 4, value=WHITE)
    return padded[..., top : top + side, left : left + side]


class Retrieval:
    """How often the held-out image of a caption is found among others, and the reverse."""

    def __init__(self, data: CaptionedImages, tokens: Tensor, device: torch.device) -> None:
        kept = data.kept()[:MEASURED]
        self._images, self._tokens, self._device = data.images[kept], tokens[kept], device

    def __call__(self, network: nn.Module) -> dict[str, float]:
        pairs = zip(self._tokens.split(BATCH), self._images.split(BATCH), strict=True)
        parts = [network(t.to(self._device), to_float(i).to(self._device)) for t, i in pairs]
        texts, images = (torch.cat(part) for part in zip(*parts, strict=True))
        similar = texts @ images.T
        right = torch.arange(len(similar), device=similar.device)
        others = similar.sum() - similar.diag().sum()
        return {
            "image_found": (similar.argmax(1) == right).double().mean().item(),
            "caption_found": (similar.argmax(0) == right).double().mean().item(),
            "cosine": similar.diag().mean().item(),
            "cosine_of_others": others.item() / max(1, len(similar) * (len(similar) - 1)),
        }


def _dual(network: Any) -> DualEncoder:
    return network
