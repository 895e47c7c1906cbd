"""Compares runs with a base image by image: how close they are, how much diversity they keep."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluation.features.images import ImageSource
from evaluation.metrics.jackknife import group_ranges
from evaluation.metrics.measured import Measured
from evaluation.paired.catalogue import measure_paired
from evaluation.paired.closeness import squared_errors
from evaluation.paired.runs import PairedImages
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.extractor import collect_groups

AT_ONCE = 64  # images of which pixels are compared
log = logging.getLogger(__name__)


class _Group(NamedTuple):
    """What is kept of a group of images."""

    features: Tensor  # (n, D)
    errors: Tensor  # (n,) squared; empty of the base itself


class PairedEvaluator:
    """Compares sets of images with one base, whose features are extracted once.

    Every rank makes one and calls it alike: images are shared out by groups of indices.

    Args:
        evaluator: whose feature space and groups are taken; its reference plays no part.
        base: the images to compare with.
        field: configuration's name and value of the base, for messages.

    Raises:
        UserError: images that the extractor cannot take, or damaged ones.
    """

    def __init__(self, evaluator: Evaluator, base: ImageSource, field: str) -> None:
        self._evaluator, self._images, self._field = evaluator, base, field
        self._base = self._gathered(base, field, lambda _indices: torch.empty(0))

    def measure(self, images: ImageSource, field: str) -> dict[str, Measured]:
        """Every comparison that the images tell, by key of `evaluation.paired.catalogue`.

        On every rank. Labels are those of the images, or of the base where they have none.

        Raises:
            UserError: another number or size of images than the base's, or damaged ones.
        """
        size, other = ((s.height, s.width) for s in (images, self._images))
        if (len(images), *size) != (len(self._images), *other):
            raise UserError(
                f"{field}: holds {_shape(images)}, {self._field} {_shape(self._images)}; a "
                "comparison needs the same image indices and sizes"
            )
        labels = self._labels(images, field)
        own = self._gathered(images, field, lambda indices: self._errors(images, indices))
        found = None
        if distributed.is_main():
            device = self._evaluator.extractor.statistics_device
            groups = group_ranges(len(images), self._evaluator.groups)
            numbers = torch.tensor([len(group) for group in groups])
            paired = PairedImages(
                features=_joined([group.features for group in own], device),
                base=_joined([group.features for group in self._base], device),
                squared_errors=_joined([group.errors for group in own], device),
                labels=None if labels is None else torch.from_numpy(labels).to(device),
                groups=torch.repeat_interleave(numbers).to(device),
            )
            found = measure_paired(paired, self._evaluator.space)
        return distributed.broadcast(found)

    def _labels(self, images: ImageSource, field: str) -> np.ndarray | None:
        """The labels of both sets; None unless all are known and the same."""
        known = [
            source.labels
            for source in (images, self._images)
            if source.labels is not None and (source.labels >= 0).all()
        ]
        if len(known) == 2 and not np.array_equal(known[0], known[1]):
            log.warning(
                "%s: image %d has another label than in %s; no diversity retention",
                field, int((known[0] != known[1]).argmax()), self._field,
            )  # fmt: skip
            return None
        texts = [source.prompts for source in (images, self._images) if source.prompts is not None]
        if len(texts) == 2 and texts[0] != texts[1]:
            log.warning(
                "%s: is of other prompts than %s; no diversity retention", field, self._field
            )
            return None
        return known[0] if known else None

    def _gathered(
        self, images: ImageSource, field: str, errors: Callable[[range], Tensor]
    ) -> list[_Group]:
        """Every group, in order, on rank 0; an empty list on the others."""
        groups = group_ranges(len(images), self._evaluator.groups)
        return collect_groups(
            self._evaluator.extractor.own_groups(
                images, groups, field,
                keep=lambda indices, features: _Group(features["pool"], errors(indices)),
            )
        )  # fmt: skip

    def _errors(self, images: ImageSource, indices: range) -> Tensor:
        parts = []
        for first in range(indices.start, indices.stop, AT_ONCE):
            end = min(first + AT_ONCE, indices.stop)
            with errors_of(""):  # a damaged file is named already
                parts.append(squared_errors(images.read(first, end), self._images.read(first, end)))
        return torch.cat(parts)


def _joined(parts: list[Tensor], device: torch.device) -> Tensor:
    return torch.cat(parts).to(device).double()


def _shape(images: ImageSource) -> str:
    return f"{len(images)} images of {images.width}x{images.height}"
