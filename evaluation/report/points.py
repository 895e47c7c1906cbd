"""Points of a sweep: what one run measured, as a record and as a row of points.csv."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.frechet import FID
from evaluation.metrics.measured import Difference, Measured

LOSS = FID.key
"""The metric that every point has, and that fronts and verdicts are about."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep.

    Denoisers are named in the pair's order, small to large.

    Raises:
        ValueError: a number that is not finite or out of its range, no FID, no denoiser.
    """

    series: str  # sampler, steps, guidance and kind of schedule
    label: str  # of the run in its series, e.g. "fraction 0.4"
    fraction: float | None  # of the first denoiser, in [0, 1]; None if the schedule has none
    fractions: tuple[float, ...] | None  # of all denoisers; the last may be left out
    steps_per_denoiser: Mapping[str, float]  # means, where images have steps of their own
    nfe: float
    seconds_per_image: float | None  # None = not timed
    seconds_per_denoiser: dict[str, float]  # per image
    gmacs_per_image: float
    gmacs_per_evaluation: dict[str, float]
    flops_per_image: float
    num_images: int
    metrics: dict[str, Measured]
    differences: dict[str, Difference]  # by metric; empty for the all-large run or without one
    run_dir: str  # relative to the folder of the report
    protocol: dict[str, Any]
    timed_in: tuple[str, ...] = ()  # the conditions of the times: one, several if mixed
    round_seconds: tuple[float, ...] = ()  # per image in rounds in turn; empty = the run's batches
    # Network evaluations per image, also as a guide; empty = as many in all steps.
    evaluations_per_denoiser: dict[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if LOSS not in self.metrics:
            raise ValueError(f"metrics={sorted(self.metrics)}: no {LOSS}; evaluate the run")
        _check_intervals(self.metrics)
        for paired in self.differences.values():
            _check_interval("difference", paired.low, paired.difference, paired.high)
        if not self.steps_per_denoiser or sum(self.steps_per_denoiser.values()) < 1:
            raise ValueError(f"steps_per_denoiser={self.steps_per_denoiser}: give steps")
        missing = self.steps_per_denoiser.keys() - self.gmacs_per_evaluation.keys()
        if missing:
            raise ValueError(f"gmacs_per_evaluation: {', '.join(sorted(missing))} is missing; add")
        if self.fraction is not None and not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction}: choose a number from 0 to 1")
        for name in ("nfe", "seconds_per_image", "gmacs_per_image", "flops_per_image"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value}: give a finite number above 0")

    @property
    def short(self) -> str:
        """The label beside a marker: the fraction, the fractions, or the run's label."""
        if self.fractions is not None:
            return "/".join(f"{value:g}" for value in self.fractions)
        return self.label if self.fraction is None else f"{self.fraction:g}"

    @property
    def all_large(self) -> bool:
        """True if the denoiser with the most arithmetic, and no other, runs the steps."""
        gmacs = self.gmacs_per_evaluation
        # The last one, should several cost the same: the pair's order is small to large.
        largest = max(reversed(list(gmacs)), key=lambda name: gmacs[name])
        return all(name == largest for name, steps in self.steps_per_denoiser.items() if steps)

    def evaluations_of(self, denoiser: str) -> float:
        """Network evaluations per image of a denoiser, also as a guide."""
        if self.evaluations_per_denoiser:
            return self.evaluations_per_denoiser.get(denoiser, 0)
        steps = self.steps_per_denoiser
        return steps.get(denoiser, 0) / sum(steps.values()) * self.nfe

    def gmacs_of(self, denoiser: str) -> float:
        """GMACs per image that a denoiser takes."""
        return self.evaluations_of(denoiser) * self.gmacs_per_evaluation[denoiser]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The metrics of real test images: what a perfect generator would reach."""

    metrics: dict[str, Measured]
    num_images: int

    def __post_init__(self) -> None:
        _check_intervals(self.metrics)


def metric_names(points: Sequence[Point], floor: Floor | None = None) -> dict[str, str]:
    """Names of metrics by key, lower is better first; checks that they can be compared.

    Raises:
        ValueError: no points, or one metric under two names (two feature spaces).
    """
    if not points:
        raise ValueError("points=[]: there is nothing to report; give at least one run")
    found: dict[str, str] = {}
    everything = [point.metrics for point in points] + ([floor.metrics] if floor else [])
    for metrics in everything:
        for key, metric in metrics.items():
            if found.setdefault(key, metric.name) != metric.name:
                raise ValueError(
                    f"points: {key} is {found[key]!r} and {metric.name!r}; "
                    "evaluate all runs with one extractor"
                )
    ordered = sorted(METRICS, key=lambda metric: metric.higher_is_better)
    order = {metric.key: place for place, metric in enumerate(ordered)}
    known = sorted(found, key=lambda key: (order.get(key, len(order)), key))
    return {key: found[key] for key in known if any(key in p.metrics for p in points)}


def denoiser_names(points: Sequence[Point]) -> list[str]:
    """Every denoiser, in the order in which the points name them."""
    return list(dict.fromkeys(name for p in points for name in p.steps_per_denoiser))


def has_fractions(points: Sequence[Point]) -> bool:
    """True if one fraction says all: two denoisers at most, and a fraction in every run."""
    return all(p.fraction is not None and len(p.steps_per_denoiser) <= 2 for p in points)


def x_values(points: Sequence[Point]) -> list[float]:
    """The fraction of each, or GMACs per image where fractions do not say all."""
    fractions = [p.fraction for p in points if p.fraction is not None]
    return fractions if has_fractions(points) else [p.gmacs_per_image for p in points]


def by_series(points: Sequence[Point]) -> dict[str, list[int]]:
    """Indices of the points of each series, by fraction, else from costly to cheap."""
    series: dict[str, list[int]] = {}
    for index, point in enumerate(points):
        series.setdefault(point.series, []).append(index)
    for members in series.values():
        if has_fractions([points[i] for i in members]):
            members.sort(key=lambda i: (points[i].fraction, -points[i].gmacs_per_image))
        else:
            members.sort(key=lambda i: -points[i].gmacs_per_image)
    return series


def all_large_of(points: Sequence[Point]) -> Point | None:
    """The all-large run of a series, None without one."""
    # A tiny fraction may leave every step to the large one; only the run itself has no difference.
    return min((p for p in points if p.all_large), key=lambda p: len(p.differences), default=None)


def points_csv(points: Sequence[Point]) -> str:
    """points.csv: one row per point in the order given, unmeasured values empty.

    Columns: the record's scalars; where the times come from; steps, seconds and
    gmacs_per_evaluation per denoiser; per metric its name, value, bounds, and the paired difference
    with bounds; num_images and run_dir.
    """
    keys, denoisers = list(metric_names(points)), denoiser_names(points)
    rows = [_row(point, keys, denoisers) for point in points]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(point: Point, keys: list[str], denoisers: list[str]) -> dict[str, Any]:
    fractions = " ".join(map(str, point.fractions)) if point.fractions is not None else None
    scalars = ("nfe", "seconds_per_image", "gmacs_per_image", "flops_per_image")
    row: dict[str, Any] = {"series": point.series, "label": point.label}
    row |= {"fraction": point.fraction, "fractions": fractions}
    row |= {name: getattr(point, name) for name in scalars}
    row |= {"timing_rounds": len(point.round_seconds), "timed_in": "; ".join(point.timed_in)}
    for name in denoisers:
        row[f"steps_{name}"] = point.steps_per_denoiser.get(name)
        row[f"seconds_{name}"] = point.seconds_per_denoiser.get(name)
        row[f"gmacs_per_evaluation_{name}"] = point.gmacs_per_evaluation.get(name)
    for key in keys:
        metric, paired = point.metrics.get(key), point.differences.get(key)
        for column in ("name", "value", "low", "high"):
            row[key if column == "value" else f"{key}_{column}"] = getattr(metric, column, None)
        for column in ("difference", "low", "high"):
            suffix = "" if column == "difference" else f"_{column}"
            row[f"{key}_difference{suffix}"] = getattr(paired, column, None)
    return row | {"num_images": point.num_images, "run_dir": point.run_dir}


def _check_intervals(metrics: Mapping[str, Measured]) -> None:
    for metric in metrics.values():
        _check_interval(metric.name, metric.low, metric.value, metric.high)


def _check_interval(name: str, low: float, value: float, high: float) -> None:
    numbers = all(isinstance(v, int | float) and math.isfinite(v) for v in (low, value, high))
    if not numbers or not low <= value <= high:
        raise ValueError(
            f"{name}={value}: its interval is {low} to {high}; give finite numbers around the value"
        )
