"""Real images through the extractor: moments of all, features of the first ones, streaming."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from evaluation.metrics.moments import Moments
from tstitch.scoring.extractor import LoadedExtractor, add_over_ranks, collect_groups

CHUNK = 500  # images that a rank takes at once


def measure_real_images(
    extractor: LoadedExtractor,
    images: Any,
    names: Collection[str],
    *,
    num_features: int,
    field: str,
) -> tuple[dict[str, Moments], Tensor | None]:
    """Extracts every image once and keeps no more than is asked for.

    Every rank calls it; the images are shared out.

    Args:
        images: evaluation.features.images.ImageSource, or anything with its members.
        names: kinds of features whose moments are wanted.
        num_features: of how many of the first images the pool features are kept.
        field: configuration's name and value of the images, for messages.

    Returns:
        Moments by name, on the statistics device, and pool features (num_features, D) float32 on
        rank 0, None on the others.

    Raises:
        UserError: an image that cannot be read or measured.
    """
    count, device = len(images), extractor.statistics_device
    chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    dimensions = extractor.dimensions(images)
    running = {name: Moments.none(dimensions[name]) for name in names}

    def keep(indices: range, features: dict[str, Tensor]) -> Tensor | None:
        for name in running:
            running[name] = running[name] + Moments.of(features[name].to(device)).to("cpu")
        return features["pool"] if indices.start < num_features else None

    own = extractor.own_groups(images, chunks, field, keep)
    moments = {name: add_over_ranks(total, device) for name, total in running.items()}
    pools = collect_groups({number: kept for number, kept in own.items() if kept is not None})
    return moments, torch.cat(pools)[:num_features] if pools else None
