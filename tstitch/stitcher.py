"""Loaded denoisers, a sampler and a space: labels in, images out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.machine import device_name
from evaluation.timing import StageTimer
from models.guidance import GuidedDenoiser
from samplers import Denoiser, PerImageRandomness, sample
from tstitch.device import choose_device, choose_dtype, set_matmul_precision
from tstitch.experiment import Experiment
from tstitch.pair import load_network, space_errors

LOOP, DENOISE = "loop", "denoise/"


class Stitcher:
    """The denoisers of an experiment on their device, ready to sample.

    Args:
        experiment: the checked configuration.
        weights: local file of each denoiser's weights by name, None = random weights.

    Raises:
        UserError: device or precision not there, or weights that do not fit.
    """

    def __init__(self, experiment: Experiment, weights: dict[str, Path | None]) -> None:
        run, guidance, pair = experiment.run, experiment.guidance, experiment.pair
        self.experiment = experiment
        self.device = choose_device(run.device, "run.device")
        dtype = choose_dtype(run.dtype, self.device, "run.dtype")
        set_matmul_precision(run.dtype)
        self._names = [spec.name for spec in pair.denoisers]
        self._denoisers = [
            GuidedDenoiser(
                load_network(pair, spec, weights[spec.name]).to(self.device, dtype),
                scale=guidance.scale,
                channels=guidance.channels,
                null_class=pair.num_classes,
            )
            for spec in pair.denoisers
        ]
        with space_errors():
            self._space = pair.space.to(self.device).load()
        self.device_name = device_name(self.device)

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
