"""From a pair's name to images, and from images to metrics, for notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.features.reference import array_reference
from tstitch.config.cli import compose
from tstitch.notebook.loading import followed, load_words
from tstitch.notebook.sampler import LoadedSampler
from tstitch.runtime.errors import UserError, errors_of
from tstitch.runtime.start import start_process
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import EvaluationSettings


def load(pair: str, *overrides: str) -> LoadedSampler:
    """Loads a pair of configs/pair with the overrides of the command line.

    A schedule that is found by measuring (`stitch=budget`, `topk`, `search`) is measured here.

    Args:
        pair: e.g. `fashion_mnist`.
        overrides: e.g. `sampler=ddim`, `stitch.fraction=0.4`, `run.device=cuda`.

    Returns:
        Called with classes it gives images; `make` their times, too, `under` the same networks
        under other settings, `disagreement` how far small and large are apart.

    Raises:
        tstitch.UserError: a bad value, or weights that are not there or do not fit.
    """
    _check_words([pair, *overrides])
    # One call of any size: nothing is compiled or padded unless asked for.
    return LoadedSampler(load_words(followed([f"pair={pair}", "engine=plain"], overrides)))


def evaluate(
    images: str | Path | np.ndarray | torch.Tensor,
    reference: str | Path | np.ndarray | torch.Tensor | None = None,
    *overrides: str,
) -> Evaluation:
    """Metrics of images with 95 % intervals, as scripts/evaluate.py measures them.

    Args:
        images: uint8 array or tensor (N, H, W, 3) or (N, H, W), or the path of an npz, npy or
            folder.
        reference: the same, or an npz with ADM's statistics; None = the evaluation's own.
        overrides: of the command line, e.g. `evaluation=fashion_mnist`, `device=cuda`.

    Returns:
        Its `metrics` by key (fid, sfid, inception_score, precision, recall, kid, and class_accuracy
        where labels are known), each with name, value, low, high, flags and the jackknife's
        replicates; flags: the reasons why flagged values mean little; num_images, groups and
        protocol.

    Raises:
        tstitch.UserError: images or reference that cannot be measured.
    """
    _check_words(overrides)
    images = _source("images", images)
    reference = None if reference is None else _source("reference", reference)
    config = compose("evaluate", ["samples=images", *overrides])
    section = config["evaluation"]
    held = None
    if isinstance(reference, np.ndarray):
        with errors_of(""):
            held = array_reference(reference, "reference")
    elif reference is not None:
        section = section | {"reference": str(reference)}
    settings = EvaluationSettings.parse(section)
    if settings.extractor is None:
        raise UserError("evaluation.extractor=None: choose evaluation=inception or fashion_mnist")
    if held is None and settings.reference is None:
        raise UserError("reference=None: give the real images, or their statistics")
    evaluator = Evaluator(settings, start_process(config["device"], "device"), held)
    opened = open_samples(images, "images", config["prompts"])
    evaluator.check_labels(opened, "images")
    return evaluator.evaluate(opened, "images")


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
