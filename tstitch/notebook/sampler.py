"""Images of classes or prompts on demand, without a run directory: for notebooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.cost.timing import StageTimer
from tstitch.config.fields import MAX_SEED
from tstitch.data.class_names import labels_of
from tstitch.data.items import whole_number
from tstitch.maker.protocol import (
    DECODE,
    DENOISE,
    LOOP,
    CountedImages,
    TracedMaker,
    Trajectory,
)
from tstitch.maker.units import Unit, cut
from tstitch.notebook.loading import Loaded, load_words
from tstitch.runtime.errors import UserError

Conditions = Sequence[int | str] | np.ndarray | Tensor


@dataclass(frozen=True, slots=True)
class Made:
    """Images, and what they took.

    Attributes:
        images: uint8 (N, H, W, 3).
        seconds: of all N of them, from the noise to the pixels; loading is not in it.
        denoiser_seconds: within these, those of each denoiser, small to large.
        steps: evaluations of the schedule that each denoiser ran of an image, small to large; the
            mean over the images where each decides its own.
    """

    images: np.ndarray
    seconds: float
    denoiser_seconds: Mapping[str, float]
    steps: Mapping[str, float]


class LoadedSampler:
    """A loaded pair under one sampler, stitch schedule and guidance; call it for images.

    Args:
        loaded: of `load_words`.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.maker = loaded.maker

    def under(self, *overrides: str) -> "LoadedSampler":
        """The same networks under other settings; nothing is loaded again.

        Args:
            overrides: as of the command line, besides those that it was loaded with: of sampler,
                stitch, guidance, run and, for pairs of prompts, of pair.prompts.

        Raises:
            UserError: a bad value, or another pair, device, dtype or engine.
        """
        return LoadedSampler(load_words(overrides, self._loaded))

    @property
    def config(self) -> dict[str, Any]:
        """The composed configuration: its sections as files and overrides have them."""
        return self._loaded.config

    @property
    def denoisers(self) -> tuple[str, ...]:
        """Names, small to large."""
        return tuple(self.maker.experiment.denoisers)

    @property
    def steps_per_denoiser(self) -> dict[str, int]:
        """The realised stitch schedule, small to large.

        Raises:
            UserError: a schedule that each image decides for itself.
        """
        experiment = self.maker.experiment
        if experiment.online is not None:
            raise UserError(
                f"stitch: each image decides its own steps ({experiment.online}); `make` has them, "
                "and so has the samples.npz of scripts/sample.py"
            )
        return experiment.steps_per_denoiser

    @property
    def schedule(self) -> tuple[int, ...]:
        """Which denoiser runs each step, noisiest first; 0 = smallest.

        Where each image decides for itself it is the course with the most arithmetic.
        """
        return self.maker.experiment.step_models

    @property
    def class_names(self) -> tuple[str, ...]:
        """The pair's classes or prompts, by label."""
        return self.maker.experiment.conditions

    @property
    def takes_prompts(self) -> bool:
        """Whether images are of texts; then it may be called with any."""
        return self.maker.experiment.has_prompts

    def __call__(self, classes: Conditions, *, seed: int = 0, first_index: int = 0) -> np.ndarray:
        """One image per class; arguments and errors are those of `make`.

        Returns:
            uint8 (N, H, W, 3).
        """
        return self.make(classes, seed=seed, first_index=first_index).images

    def make(self, classes: Conditions, *, seed: int = 0, first_index: int = 0) -> Made:
        """One image per class, in batches of run.batch_size, and what they took.

        Args:
            classes: N labels in 0..num_classes-1, as integers of any kind, or names of classes;
                where the pair has prompts, any texts.
            seed: from 0; with the image's index it decides its noise.
            first_index: from 0; index of the first image; images of a run with the same seed and
                index start from the same noise.

        Raises:
            UserError: a class that the pair does not have, or none at all; another seed or index;
                values that are not finite, as in float16.
        """
        own, labels, indices = self._asked(classes, seed, first_index)
        maker, images, steps = own.maker, [], []
        maker.prepare()
        timer = StageTimer(maker.engine.device)
        for unit in cut(len(labels), maker.experiment.run.batch_size):
            pending = maker.sample(own._draw(unit, labels, indices, seed), timer)
            images.append(pending.wait())
            if isinstance(pending, CountedImages) and pending.steps is not None:
                steps.append(pending.steps)
        names, seconds = list(maker.experiment.denoisers), timer.seconds()
        counted = np.concatenate(steps).mean(0).tolist() if steps else None
        return Made(
            images=np.concatenate(images),
            seconds=seconds[LOOP] + seconds[DECODE],
            denoiser_seconds={name: seconds.get(DENOISE + name, 0.0) for name in names},
            steps=(
                maker.experiment.steps_per_denoiser
                if counted is None
                else dict(zip(names, counted, strict=True))
            ),
        )

    def check(self, classes: Conditions, *, seed: int = 0, first_index: int = 0) -> None:
        """Raises what `make` raises of its arguments; makes nothing."""
        _from_zero("seed", seed)
        if not (self.takes_prompts and _are_texts(classes)):
            _labels(classes, self.class_names)
        _from_zero("first_index", first_index, MAX_SEED + 1 - len(classes))

    def disagreement(
        self,
        classes: Conditions,
        *,
        seed: int = 0,
        first_index: int = 0,
        compare: str | None = None,
    ) -> np.ndarray:
        """How far the smallest denoiser's predictions are from the largest one's, of the latter.

        Along the trajectories of the largest one alone, whatever `stitch` says (TRACK, arXiv
        2609.30096).

        Args:
            classes: and seed, first_index as in `make`.
            compare: which prediction, one of samplers.PREDICTIONS; None = the process's own.

        Returns:
            (steps, N) float64, noisiest step first.

        Raises:
            UserError: what `make` raises, or a pair whose trajectories cannot be looked into.
        """
        own, labels, indices = self._asked(classes, seed, first_index)
        maker = own._traced("disagreement")
        maker.prepare(every=True)
        compare = maker.own_prediction if compare is None else compare
        units = cut(len(labels), maker.experiment.run.batch_size)
        batches = (own._draw(unit, labels, indices, seed) for unit in units)
        return np.concatenate([maker.disagreement(b, compare).numpy() for b in batches], axis=1)

    def trajectory(self, classes: Conditions, *, seed: int = 0, first_index: int = 0) -> Trajectory:
        """What the denoisers take the images to be, step by step.

        Args:
            classes: and seed, first_index as in `make`.

        Raises:
            UserError: what `make` raises, a pair whose trajectories cannot be looked into, or a
                schedule that each image decides for itself.
        """
        own, labels, indices = self._asked(classes, seed, first_index)
        maker = own._traced("trajectory")
        if maker.experiment.online is not None:
            raise UserError(
                "stitch: each image decides its own steps; choose a schedule, e.g. stitch=fraction"
            )
        maker.prepare()
        units = cut(len(labels), maker.experiment.run.batch_size)
        batches = (own._draw(unit, labels, indices, seed) for unit in units)
        parts = [maker.trajectory(batch) for batch in batches]
        joined = np.concatenate([part.predictions for part in parts], axis=1)
        return replace(parts[0], predictions=joined)

    def _traced(self, wanted: str) -> TracedMaker:
        maker = self.maker
        if not isinstance(maker, TracedMaker):
            raise UserError(
                f"{wanted}: trajectories of pair {maker.experiment.name} cannot be looked "
                "into; choose another pair"
            )
        return maker

    def _asked(
        self, classes: Conditions, seed: Any, first_index: Any
    ) -> tuple["LoadedSampler", Tensor, range]:
        """Who has these conditions, their labels (N,) and the images' indices; checked."""
        self.check(classes, seed=seed, first_index=first_index)
        own = self
        if self.takes_prompts and _are_texts(classes) and not set(classes) <= set(self.class_names):
            prompts = [*dict.fromkeys(classes)]
            own = LoadedSampler(load_words((), self._loaded, prompts=prompts))
        labels = torch.tensor(_labels(classes, own.class_names), dtype=torch.int64)
        first = int(first_index)
        return own, labels, range(first, first + len(labels))

    def _draw(self, unit: Unit, labels: Tensor, indices: range, seed: Any) -> Any:
        chosen = slice(unit.first, unit.end)
        return self.maker.draw(indices[chosen], labels[chosen], seed=int(seed))


def _are_texts(classes: Any) -> bool:
    """Whether these are prompts, not labels.

    Raises:
        UserError: an empty one.
    """
    texts = isinstance(classes, list | tuple) and all(isinstance(c, str) for c in classes)
    if texts and not all(text.strip() for text in classes):
        raise UserError("classes: a prompt is empty; give it a text")
    return bool(texts and classes)


def _labels(classes: Any, names: Sequence[str]) -> list[int]:
    try:
        return labels_of(classes, names)
    except ValueError as error:
        raise UserError(f"classes: {error}") from error


def _from_zero(name: str, value: Any, high: int = MAX_SEED) -> int:
    number = whole_number(value)
    if number is None or not 0 <= number <= high:
        raise UserError(f"{name}={value!r}: choose a whole number from 0 to {high}")
    return number
