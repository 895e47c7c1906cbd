"""From a pair's name to images, and from images to metrics, for notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.cost.timing import StageTimer
from evaluation.features.reference import array_reference
from tstitch import distributed, fields
from tstitch.class_names import labels_of
from tstitch.cli import compose
from tstitch.device import choose_device
from tstitch.engine.host import prepare_host
from tstitch.engine.settings import choose_engine
from tstitch.errors import UserError
from tstitch.experiment import parse_experiment
from tstitch.items import whole_number
from tstitch.loaded import LoadedPair
from tstitch.pair import locate_weights
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import EvaluationSettings
from tstitch.shards import Unit, cut
from tstitch.stitcher import Stitcher
from tstitch.threads import set_threads


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

    @property
    def class_names(self) -> tuple[str, ...]:
        """The pair's classes, by label."""
        return self._stitcher.experiment.pair.class_names

    def __call__(
        self,
        classes: Sequence[int | str] | np.ndarray | torch.Tensor,
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
        first_index = _from_zero("first_index", first_index, fields.MAX_SEED + 1 - len(labels))
        self._stitcher.prepare()
        return np.concatenate(
            [
                self._batch(unit, labels[unit.first : unit.end], seed, first_index)
                for unit in cut(len(labels), self._stitcher.experiment.run.batch_size)
            ]
        )

    def _batch(self, unit: Unit, labels: torch.Tensor, seed: int, first_index: int) -> np.ndarray:
        indices = range(first_index + unit.first, first_index + unit.end)
        batch = self._stitcher.draw(indices, labels, seed=seed)
        return self._stitcher.sample(batch, StageTimer(self._stitcher.device)).wait()


def load(pair: str, *overrides: str) -> StitchedSampler:
    """Loads a pair of configs/pair with the overrides of the command line.

    Args:
        pair: e.g. `fashion_mnist`.
        overrides: e.g. `sampler=ddim`, `stitch.fraction=0.4`, `run.device=cuda`.

    Raises:
        tstitch.errors.UserError: a bad value, or weights that are not there or do not fit.
    """
    _check_words([pair, *overrides])
    # One call of any size: nothing is compiled or padded unless asked for.
    words = [f"pair={pair}", "engine=plain", *overrides]
    experiment = parse_experiment(compose("sample", words))
    weights = {spec.name: locate_weights(spec) for spec in experiment.pair.denoisers}
    engine = choose_engine(experiment.engine, experiment.run)
    prepare_host(engine)
    loaded = LoadedPair(experiment.pair, engine, weights)
    return StitchedSampler(Stitcher(experiment, loaded))


def evaluate(
    images: str | Path | np.ndarray | torch.Tensor,
    reference: str | Path | np.ndarray | torch.Tensor | None = None,
    *overrides: str,
) -> dict[str, Any]:
    """Metrics of images with 95 % intervals, as scripts/evaluate.py measures them.

    Args:
        images: uint8 array or tensor (N, H, W, 3) or (N, H, W), or the path of an npz, npy or
            folder.
        reference: the same, or an npz with ADM's statistics; None = the evaluation's own.
        overrides: of the command line, e.g. `evaluation=fashion_mnist`, `device=cuda`.

    Returns:
        `metrics` by key (fid, sfid, inception_score, precision, recall, kid, and class_accuracy
        where labels are known), each with name, value, low, high, flags and the jackknife's
        replicates; flags: the reasons why flagged values mean little; num_images, groups and
        protocol.

    Raises:
        tstitch.errors.UserError: images or reference that cannot be measured.
    """
    _check_words(overrides)
    images = _source("images", images)
    reference = None if reference is None else _source("reference", reference)
    config = compose("evaluate", ["samples=images", *overrides])
    section = config["evaluation"]
    held = None
    if isinstance(reference, np.ndarray):
        try:
            held = array_reference(reference, "reference")
        except ValueError as error:
            raise UserError(str(error)) from error
    elif reference is not None:
        section = section | {"reference": str(reference)}
    settings = EvaluationSettings.parse(section)
    if settings.extractor is None:
        raise UserError("evaluation.extractor=None: choose evaluation=inception or fashion_mnist")
    if held is None and settings.reference is None:
        raise UserError("reference=None: give the real images, or their statistics")
    device = choose_device(config["device"], "device")
    distributed.start()
    set_threads()
    evaluator = Evaluator(settings, device, held)
    opened = open_samples(images, "images")
    evaluator.check_labels(opened, "images")
    return evaluator.evaluate(opened, "images")


def _from_zero(name: str, value: Any, high: int = fields.MAX_SEED) -> int:
    number = whole_number(value)
    if number is None or not 0 <= number <= high:
        raise UserError(f"{name}={value!r}: choose a whole number from 0 to {high}")
    return number


def _check_words(words: Sequence[Any]) -> None:
    for word in words:
        if not isinstance(word, str):
            given = " ".join(repr(word).split())[:80]
            raise UserError(
                f'overrides: {given} is no text; give each as one, as "stitch.fraction=0.4"'
            )


def _source(name: str, value: Any) -> str | Path | np.ndarray:
    """An array, or where images are; a tensor's values are its array's."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise UserError(f"{name}: is no plain tensor (sparse, quantised or without values)")
        value = value.detach().cpu()
        return (value if value.dtype != torch.bfloat16 else value.float()).numpy()
    if isinstance(value, str | Path | np.ndarray):
        return value
    raise UserError(
        f"{name}: is a {type(value).__name__}; give a uint8 array or tensor (N, H, W, 3), or a path"
    )
