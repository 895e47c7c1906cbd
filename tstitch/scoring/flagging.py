"""Marks the values of an evaluation that mean little, each with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.metrics.flags import (
    AGAINST_REFERENCE,
    FEW_IMAGES,
    OTHER_CLASSES,
    few_images,
    other_classes,
)

FRECHET_METRICS = {"fid": "pool", "sfid": "spatial"}


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How many of the images are of each class, by its number."""

    counts: tuple[int, ...]
    guessed: bool  # by the classifier; else the images' labels


def flagged(
    result: dict[str, Any],
    dimensions: Mapping[str, int],
    seen: ClassCounts | None,
    reference: Sequence[int] | None,
) -> dict[str, Any]:
    """The evaluation with `flags`: reason by flag, and per metric the names of its flags.

    Args:
        result: of Evaluator.evaluate.
        dimensions: of each kind of features.
        seen: classes of the images, if known.
        reference: images of the reference per class, if known.
    """
    flags: dict[str, str] = {}
    of_metric: dict[str, list[str]] = {metric: [] for metric in result["metrics"]}
    if seen is not None:
        reason = other_classes(seen.counts, reference, guessed=seen.guessed)
        if reason is not None:
            flags[OTHER_CLASSES] = reason
            for metric in AGAINST_REFERENCE:
                of_metric.get(metric, []).append(OTHER_CLASSES)
    counted = {m: dimensions[f] for m, f in FRECHET_METRICS.items() if m in of_metric}
    names = {metric: result["metrics"][metric]["name"] for metric in counted}
    reasons = few_images(result["num_images"], {names[m]: count for m, count in counted.items()})
    for metric, name in names.items():
        if name in reasons:
            flags.setdefault(FEW_IMAGES, reasons[name])
            of_metric[metric].append(FEW_IMAGES)
    metrics = {m: entry | {"flags": of_metric[m]} for m, entry in result["metrics"].items()}
    return result | {"metrics": metrics, "flags": flags}


def marks(entry: Mapping[str, Any]) -> str:
    """` (few images, other classes)` beside a value that is flagged, else nothing."""
    return f" ({', '.join(entry['flags'])})" if entry.get("flags") else ""


def flag_lines(result: Mapping[str, Any]) -> list[str]:
    """A sentence for each flag of an evaluation."""
    return [f"{name}: {reason}." for name, reason in result.get("flags", {}).items()]
