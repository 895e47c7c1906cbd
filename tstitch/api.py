"""From a pair's name to images, for notebooks."""

from collections.abc import Sequence

import numpy as np
import torch

from evaluation.timing import StageTimer
from tstitch.cli import compose
from tstitch.experiment import parse_experiment
from tstitch.loaded import LoadedPair
from tstitch.pair import locate_weights
from tstitch.stitcher import Stitcher


class StitchedSampler:
    """Loaded denoisers with their sampler; call it for images.

    Args:
        stitcher: what it samples with.
    """

    def __init__(self, stitcher: Stitcher) -> None:
        self._stitcher = stitcher

    @property
    def steps_per_denoiser(self) -> dict[str, int]:
        """The realised stitch schedule, small to large."""
        return self._stitcher.experiment.steps_per_denoiser

    def __call__(
        self, classes: Sequence[int], *, seed: int = 0, first_index: int = 0
    ) -> np.ndarray:
        """One image per class index, as one batch.

        Args:
            classes: N labels in 0..num_classes-1.
            seed: with the image's index it decides its noise.
            first_index: index of the first image; images of a run with the same seed and index
                start from the same noise.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            ValueError: a class that the pair does not have, or none at all.
        """
        known = self._stitcher.experiment.pair.num_classes
        if not len(classes) or not all(0 <= label < known for label in classes):
            raise ValueError(f"classes={list(classes)}: give class indices from 0 to {known - 1}")
        return self._stitcher.images(
            range(first_index, first_index + len(classes)),
            torch.tensor(classes, dtype=torch.int64),
            seed=seed,
            timer=StageTimer(self._stitcher.device),
        )


def load(pair: str, *overrides: str) -> StitchedSampler:
    """Loads a pair of configs/pair with the overrides of the command line.

    Args:
        pair: e.g. `fashion_mnist`.
        overrides: e.g. `sampler=ddim`, `stitch.fraction=0.4`, `run.device=cuda`.

    Raises:
        tstitch.errors.UserError: a bad value, or weights that are not there or do not fit.
    """
    experiment = parse_experiment(compose("sample", [f"pair={pair}", *overrides]))
    weights = {spec.name: locate_weights(spec) for spec in experiment.pair.denoisers}
    loaded = LoadedPair(experiment.pair, experiment.run, weights)
    return StitchedSampler(Stitcher(experiment, loaded))
