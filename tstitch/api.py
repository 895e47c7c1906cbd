"""From a pair's name to images, and from images to metrics, for notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.reference import array_reference
from evaluation.timing import StageTimer
from tstitch import distributed
from tstitch.cli import compose
from tstitch.device import choose_device
from tstitch.engine.host import prepare_host
from tstitch.engine.settings import choose_engine
from tstitch.errors import UserError
from tstitch.experiment import parse_experiment
from tstitch.loaded import LoadedPair
from tstitch.pair import locate_weights
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import parse_evaluation
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

    def __call__(
        self, classes: Sequence[int], *, seed: int = 0, first_index: int = 0
    ) -> np.ndarray:
        """One image per class index, in batches of run.batch_size.

        Args:
            classes: N labels in 0..num_classes-1.
            seed: with the image's index it decides its noise.
            first_index: index of the first image; images of a run with the same seed and index
                start from the same noise.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            ValueError: a class that the pair does not have, or none at all.
            UserError: values that are not finite, as in float16.
        """
        known = self._stitcher.experiment.pair.num_classes
        if not len(classes) or not all(0 <= label < known for label in classes):
            raise ValueError(f"classes={list(classes)}: give class indices from 0 to {known - 1}")
        labels = torch.tensor(classes, dtype=torch.int64)
        self._stitcher.prepare()
        return np.concatenate(
            [
                self._batch(unit, labels[unit.first : unit.end], seed, first_index)
                for unit in cut(len(classes), self._stitcher.experiment.run.batch_size)
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
    # One call of any size: nothing is compiled or padded unless asked for.
    words = [f"pair={pair}", "engine=plain", *overrides]
    experiment = parse_experiment(compose("sample", words))
    weights = {spec.name: locate_weights(spec) for spec in experiment.pair.denoisers}
    engine = choose_engine(experiment.engine, experiment.run)
    prepare_host(engine)
    loaded = LoadedPair(experiment.pair, engine, weights)
    return StitchedSampler(Stitcher(experiment, loaded))


def evaluate(
    images: str | Path | np.ndarray,
    reference: str | Path | np.ndarray | None = None,
    *overrides: str,
) -> dict[str, Any]:
    """Metrics of images with 95 % intervals, as scripts/evaluate.py measures them.

    Args:
        images: uint8 array (N, H, W, 3) or (N, H, W), or the path of an npz, npy or folder.
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
    settings = parse_evaluation(section)
    if settings.extractor is None or (held is None and settings.reference is None):
        raise UserError("reference=None: give real images, and an evaluation that measures them")
    device = choose_device(config["device"], "device")
    distributed.start()
    set_threads()
    evaluator = Evaluator(settings, device, held)
    return evaluator.evaluate(open_samples(images, "images"), "images")
