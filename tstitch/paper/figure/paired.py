"""Runs of a figure image by image beside the first of their row: closeness, diversity kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from evaluation.metrics.measured import Measured
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint
from tstitch.run.samples import SAMPLES
from tstitch.runtime import distributed
from tstitch.scoring.paired import PairedEvaluator
from tstitch.scoring.samples import open_samples


def compare_images(
    points: Sequence[CurvePoint], folders: Sequence[Path], cache: ModelCache
) -> list[dict[str, Any]]:
    """Comparisons of every point by key, as plain JSON; every rank calls it alike.

    Args:
        points: those of one `curve` in a row, beginning with the one that they are compared with.
        folders: of the points' runs.

    Raises:
        UserError: images that are damaged, or do not belong to one another.
    """
    found: list[dict[str, Any]] = []
    base: PairedEvaluator | None = None
    for place, (point, folder) in enumerate(zip(points, folders, strict=True)):
        field = f"samples={folder / SAMPLES}"
        images = distributed.everywhere(partial(open_samples, folder / SAMPLES, "samples"))
        if base is None or point.curve != points[place - 1].curve:
            evaluator = cache.of(point.experiment).evaluator
            assert evaluator is not None  # points without one are refused
            base = PairedEvaluator(evaluator, images, field)
        found.append({name: asdict(value) for name, value in base.measure(images, field).items()})
    return found


def images_key(results: Sequence[Result]) -> dict[str, Any]:
    """What decides the comparisons: the images, and what they are measured with."""
    return {
        "runs": [result.run.metrics.fingerprint for result in results],
        "images": [result.point.images for result in results],
        "evaluations": [
            None if (own := result.run.evaluated.identity) is None else own.plain()
            for result in results
        ],
    }


def paired_of(kept: Sequence[Mapping[str, Any]]) -> list[dict[str, Measured]]:
    """Comparisons of every point out of JSON, which has lists in place of tuples."""
    return [{name: _measured(value) for name, value in entry.items()} for entry in kept]


def _measured(entry: Mapping[str, Any]) -> Measured:
    lists = {name: tuple(entry[name]) for name in ("replicates", "flags")}
    return Measured(**{**entry, **lists})
