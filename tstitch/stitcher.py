"""Loaded denoisers under a sampler: labels in, images out."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from evaluation.timing import StageTimer
from models.guidance import GuidedDenoiser
from samplers import Denoiser, PerImageRandomness, sample
from tstitch.experiment import Experiment
from tstitch.loaded import LoadedPair

LOOP, DENOISE = "loop", "denoise/"


class Stitcher:
    """A sampler and its stitch schedule over loaded denoisers.

    Args:
        experiment: the checked configuration.
        loaded: the networks of its pair.
    """

    def __init__(self, experiment: Experiment, loaded: LoadedPair) -> None:
        guidance, pair = experiment.guidance, experiment.pair
        self.experiment = experiment
        self.device, self.device_name = loaded.device, loaded.device_name
        self._names = [spec.name for spec in pair.denoisers]
        self._space = loaded.space
        self._denoisers = [
            GuidedDenoiser(
                loaded.networks[name],
                scale=guidance.scale,
                channels=guidance.channels,
                null_class=pair.num_classes,
            )
            for name in self._names
        ]

    @torch.inference_mode()
    def images(
        self, indices: Sequence[int], labels: Tensor, *, seed: int, timer: StageTimer
    ) -> np.ndarray:
        """The images of these indices, as one batch.

        Args:
            indices: image i is a function of (seed, i), its label and the experiment.
            labels: (N,) int64.
            timer: gets the stages noise, loop, denoise/NAME (within loop) and decode.

        Returns:
            uint8 (N, H, W, 3).
        """
        with timer.stage("noise"):
            shape = self.experiment.pair.space.shape
            randomness = PerImageRandomness(seed, indices, shape, device=self.device)
            x_T, y = randomness.initial(), labels.to(self.device)
        denoisers = [
            _timed(denoiser, timer, DENOISE + name)
            for denoiser, name in zip(self._denoisers, self._names, strict=True)
        ]
        with timer.stage(LOOP):
            x_0 = sample(self.experiment.sampler, denoisers, x_T, y, randomness.step)
        with timer.stage("decode"):
            return self._space.decode(x_0).numpy()


def _timed(denoiser: Denoiser, timer: StageTimer, stage: str) -> Denoiser:
    def timed(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        with timer.stage(stage):
            return denoiser(x, t, y)

    return timed
