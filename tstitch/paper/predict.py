"""The safe fraction from a few images, checked against measured curves.

The safe fraction of a curve is the largest one up to which FID rises by at most a given part of
FID(0). Two quantities foretell it, each by a threshold that is taken from the other curves:

- similarity: 1 - cosine of the small and the large model's predictions at one shared latent, the
  largest of the steps that the small one takes (the large one's trajectory, mean over images);
- change: how far the final image moves against fraction 0 with the same noise, relative to how
  far it moves at fraction 1 (RMS over pixels, mean over images).
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from tstitch.archive import IMAGES, SAMPLES
from tstitch.npz import stream_rows
from tstitch.paper.figure_settings import METHODS, Prediction
from tstitch.paper.measure import Result


def estimate_curves(
    results: Sequence[Result], similar: Sequence[dict[str, Any]], wanted: Prediction
) -> dict[str, Any]:
    """Measured and predicted safe fractions of every curve.

    Args:
        results: of all curves, each with its fraction 0 first.
        similar: of `measure_similarity`, one per curve.
        wanted: with `check`, the curves are measured; else its thresholds are used.

    Returns:
        rows: per curve the course of every quantity, the measured safe fraction with the range
        that its intervals leave, and each method's prediction with the other curves' threshold
        (the configured one where there is no other curve).
    """
    rows = []
    for place, course in enumerate(similar):
        own = sorted((r for r in results if r.spot.curve == place), key=lambda r: r.spot.fraction)
        rows.append(_row(own, course, wanted))
    # A curve's own threshold would foretell it in any case.
    others = wanted.check and len(rows) > 1
    for method in METHODS:
        limits = _thresholds(rows, method) if others else [wanted.thresholds[method]]
        for place, row in enumerate(rows):
            limit = limits[place % len(limits)]
            row[f"{method}_threshold"] = limit
            row[f"{method}_predicted"] = safe_fraction(row["fractions"], row[method], limit)
    return {"rows": rows} | asdict(wanted)


def _thresholds(rows: list[dict[str, Any]], method: str) -> list[float]:
    """For each curve the mean of what the other curves have at their safe fractions."""
    at_safe = [crossing_value(row["fractions"], row[method], row["safe"]) for row in rows]
    return [
        float(np.mean([v for i, v in enumerate(at_safe) if i != place]))
        for place in range(len(rows))
    ]


def safe_fraction(fractions: Sequence[float], values: Sequence[float], limit: float) -> float:
    """Where a course first exceeds a limit, by linear interpolation; 1 if it never does."""
    if values[0] > limit:
        return fractions[0]
    points = list(zip(fractions, values, strict=True))
    for (x_0, y_0), (x_1, y_1) in pairwise(points):
        if y_1 > limit:
            return x_0 + (x_1 - x_0) * (limit - y_0) / (y_1 - y_0)
    return fractions[-1]


def crossing_value(fractions: Sequence[float], values: Sequence[float], at: float) -> float:
    """The course's value at a fraction, by linear interpolation."""
    return float(np.interp(at, fractions, values))


def _row(own: list[Result], course: dict[str, Any], wanted: Prediction) -> dict[str, Any]:
    large, fractions = own[0], [r.spot.fraction for r in own]
    row = {
        "protocol": large.spot.planned.protocol,
        "images": large.spot.images,
        "fractions": fractions,
        "similarity": _worst_so_far(fractions, course),
        "change": _changes(own, wanted.images),
    }
    if not wanted.check:
        return row
    limit = wanted.rise * large.value()
    rises = [r.minus(large) for r in own]
    return row | {
        "rise": [rise.value / large.value() for rise in rises],
        "safe": safe_fraction(fractions, [rise.value for rise in rises], limit),
        "safe_low": safe_fraction(fractions, [rise.high for rise in rises], limit),
        "safe_high": safe_fraction(fractions, [rise.low for rise in rises], limit),
    }


def _worst_so_far(fractions: list[float], course: dict[str, Any]) -> list[float]:
    """The worst 1 - cosine up to each fraction; nothing where the small model runs no step."""
    [values] = [entry["cosine"] for entry in course["shared"].values()]
    progress = [1 - t / 1000 for t in course["timesteps"]]
    return [
        max((1 - c for p, c in zip(progress, values, strict=True) if p <= f + 1e-7), default=0.0)
        for f in fractions
    ]


def _changes(own: list[Result], count: int) -> list[float]:
    first, moved = None, []
    for result in own:
        images = next(stream_rows(result.folder / SAMPLES, IMAGES, count)).astype(np.float32)
        first = images if first is None else first
        moved.append(np.sqrt(((images - first) ** 2).mean((1, 2, 3))).mean())
    return [float(value / moved[-1]) if moved[-1] else 0.0 for value in moved]
