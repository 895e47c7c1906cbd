"""Images of classes on demand, without a run directory: for notebooks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.cost.timing import StageTimer
from tstitch.config.fields import MAX_SEED
from tstitch.data.class_names import labels_of
from tstitch.data.items import whole_number
from tstitch.maker.protocol import ImageMaker
from tstitch.maker.units import cut
from tstitch.runtime.errors import UserError


class LoadedSampler:
    """A loaded maker of images; call it for some.

    Args:
        maker: of any kind.
    """

    def __init__(self, maker: ImageMaker) -> None:
        self.maker = maker

    @property
    def steps_per_denoiser(self) -> dict[str, int]:
        """The realised stitch schedule, small to large.

        Raises:
            UserError: a schedule that each image decides for itself.
        """
        experiment = self.maker.experiment
        if experiment.online is not None:
            raise UserError(
                f"stitch: each image decides its own steps ({experiment.online}); run "
                "scripts/sample.py, whose samples.npz has them as `steps`"
            )
        return experiment.steps_per_denoiser

    @property
    def class_names(self) -> tuple[str, ...]:
        """The pair's classes or prompts, by label."""
        return self.maker.experiment.conditions

    def __call__(
        self,
        classes: Sequence[int | str] | np.ndarray | Tensor,
        *,
        seed: int = 0,
        first_index: int = 0,
    ) -> np.ndarray:
        """One image per class, in batches of run.batch_size.

        Args:
            classes: N labels in 0..num_classes-1, as integers of any kind, or names of classes.
            seed: from 0; with the image's index it decides its noise.
            first_index: from 0; index of the first image; images of a run with the same seed and
                index start from the same noise.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            UserError: a class that the pair does not have, or none at all; another seed or index;
                values that are not finite, as in float16.
        """
        try:
            labels = torch.tensor(labels_of(classes, self.class_names), dtype=torch.int64)
        except ValueError as error:
            raise UserError(f"classes: {error}") from error
        seed = _from_zero("seed", seed)
        first_index = _from_zero("first_index", first_index, MAX_SEED + 1 - len(labels))
        self.maker.prepare()
        device, images = self.maker.engine.device, []
        for unit in cut(len(labels), self.maker.experiment.run.batch_size):
            indices = range(first_index + unit.first, first_index + unit.end)
            batch = self.maker.draw(indices, labels[unit.first : unit.end], seed=seed)
            images.append(self.maker.sample(batch, StageTimer(device)).wait())
        return np.concatenate(images)


def _from_zero(name: str, value: Any, high: int = MAX_SEED) -> int:
    number = whole_number(value)
    if number is None or not 0 <= number <= high:
        raise UserError(f"{name}={value!r}: choose a whole number from 0 to {high}")
    return number
