"""Stitch schedules that decide while an image is sampled, each image for itself."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .base import Denoiser, Sampler
from .stitch import StitchSchedule


class VarianceError(ValueError):
    """Denoisers of one step of which only some predict the variance that the sampler uses."""


class Decisions(ABC):
    """What is decided of N images that are sampled together."""

    @property
    @abstractmethod
    def models(self) -> np.ndarray:
        """Which denoiser runs the next step of each image, int64 (N,), 0 = smallest."""

    @abstractmethod
    def observe(self, prediction: Tensor) -> None:
        """Takes the predictions of the step that was run.

        Args:
            prediction: (N, *shape), of each image by the denoiser that ran its step: guided, and
                what the sampler asks for (Sampler.prediction). Of a step with two evaluations it
                is the first.
        """


class OnlineSchedule(StitchSchedule):
    """Decides from the predictions; `assign` gives the course with the most arithmetic.

    So the plan of a sampler is an upper bound; `samplers.sample` follows the decisions where its
    denoisers are all one OnlineDenoiser. The attributes are the options.
    """

    @abstractmethod
    def resolved(self, steps: int) -> "OnlineSchedule":
        """The same for a number of steps, with every option given.

        Raises:
            ValueError: options that do not fit.
        """

    @abstractmethod
    def begin(self, images: int, steps: int) -> Decisions:
        """Before the first of these steps of a batch of images."""


class OnlineDenoiser:
    """All denoisers of a sampler as one, which runs each image's step by the one decided for it.

    For the trajectories of one batch, from their first evaluation to their last. History and noise
    of the sampler stay those of the whole batch.

    Args:
        sampler: its stitch schedule is an OnlineSchedule.
        denoisers: small to large, as for `sample`.
        images: N, in the batch.
        split: each denoiser gets its images alone; False = the whole batch, where shapes are
            static: of what it predicts, the other images' is thrown away.

    Attributes:
        evaluations: how many of the plan each denoiser has run of each image, int32 (N, models).

    Raises:
        ValueError: a schedule that is planned, not decided.
    """

    def __init__(
        self, sampler: Sampler, denoisers: Sequence[Denoiser], images: int, split: bool
    ) -> None:
        if not isinstance(sampler.stitch, OnlineSchedule):
            raise ValueError(f"stitch={sampler.stitch!r}: choose an OnlineSchedule, or plain ones")
        self._denoisers, self._split = denoisers, split
        self._uses_variance = sampler.uses_variance
        self._decisions = sampler.stitch.begin(images, sampler.steps)
        starts = np.cumsum((0, *sampler.evaluations[:-1]))
        self._starts, self._number = set(starts.tolist()), 0
        self._models = self._decisions.models
        self.evaluations = np.zeros((images, len(denoisers)), np.int32)

    def __call__(self, x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """The next evaluation of the plan, as a denoiser.

        Raises:
            VarianceError: only some of a step's denoisers predict the variance that is used.
        """
        begins = self._number in self._starts
        if begins:
            self._models = self._decisions.models
        prediction, variance = self._predict(x, t, y)
        self.evaluations[np.arange(len(self._models)), self._models] += 1
        self._number += 1
        if begins:
            self._decisions.observe(prediction)
        return prediction, variance

    def _predict(self, x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        used = np.unique(self._models).tolist()
        if len(used) == 1:  # the whole batch as it is: the bits of a planned step
            return self._denoisers[used[0]](x, t, y)
        prediction, variance, known = torch.empty_like(x), torch.empty_like(x), 0
        for model in used:
            rows = torch.from_numpy(np.flatnonzero(self._models == model)).to(x.device)
            if self._split:
                own, own_variance = self._denoisers[model](x[rows], t, y[rows])
            else:
                whole, whole_variance = self._denoisers[model](x, t, y)
                own = whole[rows]
                own_variance = None if whole_variance is None else whole_variance[rows]
            prediction[rows] = own.to(x.dtype)
            if own_variance is not None:
                variance[rows] = own_variance.to(x.dtype)
                known += 1
        if known not in (0, len(used)) and self._uses_variance:
            raise VarianceError(
                "one denoiser predicts its variance and another does not; choose a sampler that "
                "uses none, e.g. sampler=ddim"
            )
        return prediction, variance if known == len(used) else None
