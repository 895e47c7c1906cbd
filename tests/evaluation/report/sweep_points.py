"""Synthetic sweeps for the tests of reports."""

import math
from typing import Any

import numpy as np

from evaluation.metrics.measured import Difference, Measured
from evaluation.report.points import Floor, Point

SPACE = "Fashion-MNIST classifier"
NAMES = {
    "fid": f"FID ({SPACE})",
    "inception_score": f"Inception Score ({SPACE})",
    "kid": f"KID ({SPACE})",
    "recall": f"recall ({SPACE})",
}
SMALL_LARGE = {"small": 0.02, "large": 0.3}


def metrics_json(fid: float) -> dict[str, Any]:
    values = {
        "fid": fid,
        "inception_score": 9 - fid / 8,
        "kid": fid / 900,
        "recall": 0.8 - fid / 80,
    }
    halves = {"fid": 0.12, "inception_score": 0.05, "kid": 0.0003, "recall": 0.01}
    return {
        key: {"name": NAMES[key], "value": v, "low": v - halves[key], "high": v + halves[key]}
        for key, v in values.items()
    }


def point_json(
    steps: dict[str, int],
    fid: float,
    difference: float | None = None,
    *,
    series: str = "DDIM 20 steps",
    fraction: float | None = None,
    fractions: list[float] | None = None,
    timed: bool = True,
) -> dict[str, Any]:
    """A run with NFE 2 per step, 1 ms per GMAC and 0.5 ms beside the denoisers, in plain JSON."""
    gmacs = {"small": 0.02, "middle": 0.1, "large": 0.3}
    used = {name: 2 * count * gmacs[name] for name, count in steps.items()}
    parts = fractions or [] if fraction is None else [fraction]
    label = "fraction " + "/".join(f"{part:g}" for part in parts) if parts else "interleave"
    paired = {"difference": difference, "low": (difference or 0) - 0.1}
    return {
        "series": series,
        "label": label,
        "fraction": fraction,
        "fractions": fractions,
        "steps_per_denoiser": steps,
        "nfe": 2 * sum(steps.values()),
        "seconds_per_image": sum(used.values()) / 1e3 + 5e-4 if timed else None,
        "seconds_per_denoiser": {k: v / 1e3 for k, v in used.items()} if timed else {},
        "gmacs_per_image": sum(used.values()),
        "gmacs_per_evaluation": {name: gmacs[name] for name in steps},
        "flops_per_image": 2e9 * sum(used.values()),
        "num_images": 500,
        "metrics": metrics_json(fid),
        "differences": {} if difference is None else {"fid": paired | {"high": difference + 0.1}},
        "run_dir": f"runs/{label.replace(' ', '_')}",
        "protocol": {"sampler": {"name": series}, "dtype": "fp32"},
    }


def records(metrics: dict[str, Any]) -> dict[str, Measured]:
    """Of metrics in plain JSON."""
    return {k: Measured(**m | {"flags": tuple(m.get("flags", ()))}) for k, m in metrics.items()}


def point_of(values: dict[str, Any]) -> Point:
    """The record of a run in plain JSON."""
    fractions = values["fractions"]
    typed = {
        "fractions": None if fractions is None else tuple(fractions),
        "metrics": records(values["metrics"]),
        "differences": {key: Difference(**entry) for key, entry in values["differences"].items()},
    }
    return Point(**values | typed)


def two_denoisers(series: str = "DDIM 20 steps", worst: float = 3.0) -> list[Point]:
    """Fractions 0, 0.1 .. 1 of one series; the FID dips at 0.3 and ends `worst` higher."""
    points = []
    for fraction in (round(0.1 * i, 1) for i in range(11)):
        small = math.floor(20 * fraction + 1e-9)
        change = worst * fraction**3 - 0.3 * math.sin(math.pi * min(1.0, fraction / 0.6))
        values = point_json(
            {"small": small, "large": 20 - small},
            2.5 + change,
            change if fraction else None,
            series=series,
            fraction=fraction,
        )
        points.append(point_of(values))
    return points


def three_denoisers() -> list[Point]:
    """Fractions on the simplex in fifths."""
    points = []
    for first, second in ((a, b) for a in range(6) for b in range(6 - a)):
        third = 5 - first - second
        change = 0.1 * first**2 + 0.05 * second**2
        values = point_json(
            {"small": 4 * first, "middle": 4 * second, "large": 4 * third},
            2.5 + change,
            None if third == 5 else change,
            series="DDIM 20 steps, fractions",
            fractions=[first / 5, second / 5, third / 5],
        )
        points.append(point_of(values))
    return points


def real_images(count: int = 500) -> Floor:
    return Floor(num_images=count, metrics=records(metrics_json(0.8)))


PROTOCOL = {
    "evaluation": {"reference": {"label": "Fashion-MNIST train", "num_images": 60000}},
    "versions": {"python": "3.11.2", "torch": "2.6.0"},
    "machine": {"device": "a CPU", "threads": 1},
}


def noise(points: int, rows: int, side: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (points, rows, side, side, 3)).astype(np.uint8)
