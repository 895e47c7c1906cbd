"""Marks the values of an evaluation that mean little, each with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.flags import FEW_IMAGES, OTHER_CLASSES, few_images, other_classes
from evaluation.metrics.measured import Measured
from tstitch.scoring.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How many of the images are of each class, by its number."""

    counts: tuple[int, ...]
    guessed: bool  # by the classifier; else the images' labels


def flagged(
    result: Evaluation,
    dimensions: Mapping[str, int],
    seen: ClassCounts | None,
    reference: Sequence[int] | None,
) -> Evaluation:
    """The evaluation with `flags`: reason by flag, and per metric the names of its flags.

    Args:
        result: of Evaluator.evaluate.
        dimensions: of each kind of features.
        seen: classes of the images, if known.
        reference: images of the reference per class, if known.
    """
    flags: dict[str, str] = {}
    of_metric: dict[str, list[str]] = {metric: [] for metric in result.metrics}
    known = [metric for metric in METRICS if metric.key in of_metric]
    if seen is not None:
        reason = other_classes(seen.counts, reference, guessed=seen.guessed)
        if reason is not None:
            flags[OTHER_CLASSES] = reason
            for metric in known:
                if metric.against_reference:
                    of_metric[metric.key].append(OTHER_CLASSES)
    names = {m.key: result.metrics[m.key].name for m in known if m.of_covariance}
    counts = {names[m.key]: dimensions[m.kinds[0]] for m in known if m.of_covariance}
    reasons = few_images(result.num_images, counts)
    for key, name in names.items():
        if name in reasons:
            flags.setdefault(FEW_IMAGES, reasons[name])
            of_metric[key].append(FEW_IMAGES)
    metrics = {m: replace(own, flags=tuple(of_metric[m])) for m, own in result.metrics.items()}
    return result.model_copy(update={"metrics": metrics, "flags": flags})


def marks(entry: Measured) -> str:
    """` (few images, other classes)` beside a value that is flagged, else nothing."""
    return f" ({', '.join(entry.flags)})" if entry.flags else ""


def flag_lines(result: Evaluation) -> list[str]:
    """A sentence for each flag of an evaluation."""
    return [f"{name}: {reason}." for name, reason in (result.flags or {}).items()]
