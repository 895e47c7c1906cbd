"""The safe fraction from a few images, checked against measured curves.

The safe fraction of a curve is the largest one up to which FID rises by at most a given part of
FID(0). Two quantities foretell it, each by a threshold that is taken from the other curves:

- similarity: 1 - cosine of the small and the large model's predictions at one shared latent, the
  largest of the steps that the small one takes (the large one's trajectory, mean over images);
- change: how far the final image moves against fraction 0 with the same noise, relative to how
  far it moves at fraction 1 (RMS over pixels, mean over images).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mean
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from evaluation.features.npz_stream import stream_rows
from evaluation.report.panels import Line, Panel
from evaluation.report.table import Table, table_lines
from tstitch.config import fields
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.curves import ROLES
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.probe import ProbeImages, ProbeSettings, look_on_main, probe_point
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.curves_picture import FRACTION
from tstitch.paper.kinds.similarity import Similarity, measure_similarity
from tstitch.run.samples import IMAGES, SAMPLES
from tstitch.runtime import distributed

METHODS = ("similarity", "change")
CHANGE = "change, relative to f = 1"


class Thresholds(fields.Settings):
    """Of each method."""

    similarity: fields.NotNegative
    change: fields.NotNegative


class PredictionSettings(fields.Settings):
    """How the safe fraction is predicted; described in configs/paper/predict.yaml."""

    images: ProbeImages
    rise: Annotated[float, fields.number(0, 10)]
    check: fields.Flag
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Measured:
    """The safe fraction by FID, with the range that its intervals leave."""

    rise: list[float]  # of FID, relative to FID(0), by fraction
    safe: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions of one curve."""

    protocol: str
    fractions: list[float]
    courses: dict[str, list[float]]  # by method: the quantity at every fraction
    measured: Measured | None  # None = not checked
    thresholds: dict[str, float]  # by method

    @property
    def predicted(self) -> dict[str, float]:
        """Safe fraction by method."""
        return {
            method: safe_fraction(self.fractions, course, self.thresholds[method])
            for method, course in self.courses.items()
        }


class PredictFigure(Figure):
    """A table of safe fractions, and the quantities that foretell them as panels."""

    kind: ClassVar = "predict"
    needs_curves: ClassVar = True

    probe: PredictionSettings

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        """Every curve must be one row of two models, from all large to all small."""
        for curve in self.curves:
            ends = {shares[ROLES.index(curve.models[-1])] for shares in curve.shares} >= {0.0, 1.0}
            if len(curve.models) > 2 or not curve.is_row:
                needs = "give each two models, one steps, guidance, kind, variant"
                raise fields.refusal("curves", needs)
            if curve.kinds != ("fraction",) or not ends:
                needs = "give each kind fraction, and fractions 0 and 1 among them"
                raise fields.refusal("curves", needs)
            if self.probe.check and curve.images < self.probe.images:
                needs = f"choose at most the {curve.images} images of its curves"
                raise fields.refusal("probe", needs)
        return self

    def adapted(self) -> Self:
        """Without a check its few images alone, at every fraction of its curves."""
        if self.probe.check:
            return self
        images = self.probe.images
        about = f"estimates from {images} images, not checked against curves"
        curves = tuple(curve.model_copy(update={"images": images}) for curve in self.curves)
        return self.model_copy(update={"curves": curves, "about": about, "minutes": None})

    @property
    def measurement(self) -> dict[str, Any]:
        return {"probe": self.probe.model_dump()}

    @property
    def looked_at(self) -> str:
        return f"images {self.probe.images}, rise {self.probe.rise:g}"

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        scored = self.probe.check
        return plan_points(self.curves, self._adapted(settings), trial=trial, scored=scored)

    def _adapted(self, settings: Reproduction) -> Reproduction:
        """Without an evaluation where images alone are wanted."""
        if self.probe.check:
            return settings
        overrides = (*settings.overrides, "evaluation=none")
        return settings.model_copy(update={"overrides": overrides})

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> list[Prediction] | None:
        points = [
            probe_point(
                ProbeSettings.model_construct(
                    sampler=c.sampler,
                    steps=c.steps[0],
                    guidance=c.guidance[0],
                    images=self.probe.images,
                ),
                self._adapted(settings),
                c.models,
            )
            for c in self.curves
        ]
        keys = [measurement_key(p.experiment, self, cache.of(p.experiment)) for p in points]

        def measure() -> dict[str, Any]:
            return {
                "courses": [
                    look_on_main(measure_similarity, point, cache.of(point.experiment))
                    for point in points
                ]
            }

        courses = measure_once(self, settings, {"curves": keys}, measure)["courses"]
        if not distributed.is_main():
            return None
        return predict_curves(results, [Similarity(**c) for c in courses], self.probe)

    def panels(self, data: FigureData) -> list[Panel]:
        return [
            *(_panel(row) for row in data.measured),
            Panel("similarity", FRACTION, "1 - cosine of predictions", [
                Line(_sampler(row), row.fractions[1:], row.courses["similarity"][1:])
                for row in data.measured
            ], log=True),
        ]  # fmt: skip

    def tables(self, data: FigureData) -> list[str]:
        return prediction_lines(data.measured, self.probe)


def predict_curves(
    results: Sequence[Result], similar: Sequence[Similarity], wanted: PredictionSettings
) -> list[Prediction]:
    """Measured and predicted safe fractions of every curve.

    Args:
        results: of all curves.
        similar: one per curve, of its two models.
        wanted: with `check`, the curves are measured; else its thresholds are used.

    Returns:
        per curve each method's prediction with the other curves' threshold (the configured one
        where there is no other curve).
    """
    rows = []
    for place, similarity in enumerate(similar):
        own = sorted((r for r in results if r.point.curve == place), key=lambda r: r.point.fraction)
        fractions = [r.point.fraction for r in own]
        courses = {
            "similarity": _worst_so_far(fractions, similarity),
            "change": _changes(own, wanted.images),
        }
        measured = _measured(own, fractions, wanted.rise) if wanted.check else None
        rows.append(Prediction(own[0].point.planned.protocol, fractions, courses, measured, {}))
    # A curve's own threshold would foretell it in any case.
    others = wanted.check and len(rows) > 1
    limits = [
        _thresholds_beside(rows, row) if others else wanted.thresholds.model_dump() for row in rows
    ]
    return [replace(row, thresholds=own) for row, own in zip(rows, limits, strict=True)]


def _thresholds_beside(rows: Sequence[Prediction], own: Prediction) -> dict[str, float]:
    """By method, the mean of what the other curves have at their safe fractions."""
    others = [(r, r.measured.safe) for r in rows if r is not own and r.measured is not None]
    return {
        method: float(
            np.mean([np.interp(safe, r.fractions, r.courses[method]) for r, safe in others])
        )
        for method in METHODS
    }


def _measured(own: Sequence[Result], fractions: Sequence[float], rise: float) -> Measured:
    base = own[0].value()
    rises = [r.minus(own[0]) for r in own]
    safe, low, high = (
        safe_fraction(fractions, [getattr(change, end) for change in rises], rise * base)
        for end in ("value", "high", "low")
    )
    return Measured([change.value / base for change in rises], safe, low, high)


def safe_fraction(fractions: Sequence[float], values: Sequence[float], limit: float) -> float:
    """Where a course first exceeds a limit, by linear interpolation; 1 if it never does."""
    if values[0] > limit:
        return fractions[0]
    points = list(zip(fractions, values, strict=True))
    for (x_0, y_0), (x_1, y_1) in pairwise(points):
        if y_1 > limit:
            return x_0 + (x_1 - x_0) * (limit - y_0) / (y_1 - y_0)
    return fractions[-1]


def _worst_so_far(fractions: Sequence[float], similarity: Similarity) -> list[float]:
    """The worst 1 - cosine up to each fraction; nothing where the small model runs no step."""
    [values] = [course["cosine"] for course in similarity.shared.values()]
    progress = [1 - t / 1000 for t in similarity.timesteps]
    return [
        max((1 - c for p, c in zip(progress, values, strict=True) if p <= f + 1e-7), default=0.0)
        for f in fractions
    ]


def _changes(own: Sequence[Result], count: int) -> list[float]:
    first, moved = None, []
    for result in own:
        images = next(stream_rows(result.run.folder / SAMPLES, IMAGES, count)).astype(np.float32)
        first = images if first is None else first
        moved.append(np.sqrt(((images - first) ** 2).mean((1, 2, 3))).mean())
    return [float(value / moved[-1]) if moved[-1] else 0.0 for value in moved]


def _sampler(row: Prediction) -> str:
    return row.protocol.split(",")[0]


def _panel(row: Prediction) -> Panel:
    lines = [Line("change of the final image", row.fractions, row.courses["change"])]
    if row.measured:  # else there is no FID
        lines.insert(0, Line("rise of FID / FID(0), measured", row.fractions, row.measured.rise))
    limit = [row.thresholds["change"]] * 2
    lines.append(Line("its threshold", [0, 1], limit, published=True, like=lines[-1].name))
    label = "FID, relative to f = 0; image, to f = 1" if row.measured else CHANGE
    return Panel(_sampler(row), FRACTION, label, lines)


def prediction_lines(rows: Sequence[Prediction], wanted: PredictionSettings) -> list[str]:
    """Markdown of measured and predicted safe fractions."""
    cells = []
    for row in rows:
        cells.append([row.protocol])
        if row.measured:
            safe = row.measured
            cells[-1].append(f"{safe.safe:.2f} [{safe.low:.2f}, {safe.high:.2f}]")
        for method in ("change", "similarity"):
            cells[-1].append(f"{row.predicted[method]:.2f}")
            if row.measured:
                cells[-1].append(f"{row.predicted[method] - row.measured.safe:+.2f}")
    errors = ["off by"] if wanted.check else []
    header = ["protocol", *(["measured safe fraction"] if errors else [])]
    header += ["by the change of the image", *errors, "by the similarity", *errors]
    others = wanted.check and len(rows) > 1
    about = f"Estimates from {wanted.images} images" + (
        "; each sampler's threshold is the mean of what the others have at their measured safe "
        "fractions."
        if others
        else ", thresholds of the configuration."
    )
    if wanted.check:
        about = f"Safe: FID rises by at most {wanted.rise:.0%} of FID(0). {about}"
    lines = ["## Safe fractions", "", about, "", *table_lines(Table(header, cells)), ""]
    if others:
        means = ", ".join(
            f"{name} {mean(row.thresholds[method] for row in rows):.3g}"
            for name, method in (("change", "change"), ("1 - cosine", "similarity"))
        )
        lines += [
            f"Thresholds, means over the samplers: {means}. All curves are of one pair; for "
            "another one these thresholds are a guess until they are checked.",
            "",
        ]
    return lines
