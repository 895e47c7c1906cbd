"""`scripts/benchmark_frechet.py`: the Frechet distance timed against a matrix square root."""

import math
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from evaluation.cost.machine import device_name
from evaluation.metrics.frechet import FrechetReference
from evaluation.metrics.moments import Moments
from evaluation.report.table import Table, table_lines
from tstitch.config import fields
from tstitch.runtime.device import choose_device

DECAY = 0.7  # of the features' scales: a spectrum that falls like a power, as Inception's does
EPSILON = 1e-6  # added to the diagonals where the root is not finite, as pytorch-fid does


class BenchmarkSettings(fields.Settings):
    """What to time; the fields are described in configs/benchmark_frechet.yaml."""

    path = "benchmark"

    dimension: fields.Count
    samples: Annotated[
        tuple[int, ...], fields.Rule(len, "give at least one number"), fields.wholes(2)
    ]
    reference: Annotated[int, fields.whole(2)]
    rounds: fields.Count
    seed: fields.Seed
    device: Annotated[str, fields.one_of(("auto", "cpu", "cuda"))]


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds on the wall, and of the processor: those hold on a machine that is shared."""

    wall: float
    processor: float  # summed over threads

    @classmethod
    def now(cls) -> "Clock":
        """Of this process; differences count."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, other: "Clock") -> "Clock":
        return Clock(self.wall - other.wall, self.processor - other.processor)


@dataclass(frozen=True, slots=True)
class Timing:
    """Median times and values for one number of samples."""

    samples: int
    root: Clock
    root_value: float
    first: Clock  # with the reference's own eigenproblem
    following: Clock  # against a reference that is prepared already
    value: float


def run_frechet_benchmark(config: dict[str, Any]) -> None:
    """Prints a Markdown table.

    Raises:
        UserError: a bad field.
    """
    fields.check_sections(config, ("benchmark",))
    settings = BenchmarkSettings.parse(config["benchmark"])
    device = choose_device(settings.device, "benchmark.device")
    real = random_features(settings.reference, settings.dimension, settings.seed)
    reference = Moments.of(torch.from_numpy(real))
    timings = []
    for number, count in enumerate(settings.samples):
        values = random_features(count, settings.dimension, settings.seed + 1 + number)
        samples = Moments.of(torch.from_numpy(values))
        timings.append(time_distances(samples, reference, settings.rounds, device))
    print(render(timings, settings, device), flush=True)


def random_features(count: int, dimension: int, seed: int) -> np.ndarray:
    """float64 (count, dimension), not negative and correlated; the mixing is the same for all."""
    mix = np.random.default_rng(0).standard_normal((dimension, dimension)) / math.sqrt(dimension)
    scales = np.arange(1, dimension + 1) ** -DECAY
    rng = np.random.default_rng(seed)
    return np.maximum((rng.standard_normal((count, dimension)) * scales) @ mix, 0)


def root_distance(samples: Moments, reference: Moments) -> float:
    """The distance as published: the trace of a general square root of the product.

    Args:
        samples, reference: on the CPU.
    """
    from scipy.linalg import sqrtm

    first, second = samples.covariance.numpy(), reference.covariance.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the product is singular
        root = sqrtm(first @ second)
        if not np.isfinite(root).all():
            offset = EPSILON * np.eye(len(first))
            root = sqrtm((first + offset) @ (second + offset))
    shift = np.square((samples.mean - reference.mean).numpy()).sum()
    return float(shift + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


def time_distances(
    samples: Moments, reference: Moments, rounds: int, device: torch.device
) -> Timing:
    """Both ways in turn, from moments to the number; covariances are part of neither's time.

    Args:
        samples, reference: on the CPU.
        rounds: how often.
        device: of the eigenproblem.
    """
    mean, covariance = reference.mean.to(device), reference.covariance.to(device)
    other = (samples.mean.to(device), samples.covariance.to(device))
    if device.type == "cuda":
        FrechetReference(mean, covariance).distance(*other)  # loads the libraries
    marks = []
    for _ in range(rounds):
        begin = Clock.now()
        root_value = root_distance(samples, reference)
        middle = Clock.now()
        prepared = FrechetReference(mean, covariance)
        value = prepared.distance(*other)  # a float: the device has finished
        first = Clock.now()
        prepared.distance(*other)
        marks.append((middle - begin, first - middle, Clock.now() - first))
    root, first, following = (_median(column) for column in zip(*marks, strict=True))
    return Timing(samples.count, root, root_value, first, following, value)


def _median(clocks: Sequence[Clock]) -> Clock:
    return Clock(
        statistics.median(clock.wall for clock in clocks),
        statistics.median(clock.processor for clock in clocks),
    )


def render(timings: list[Timing], settings: BenchmarkSettings, device: torch.device) -> str:
    """A Markdown table, one row per number of samples."""
    header = [
        "samples", "scipy.linalg.sqrtm (s)", "ours, first (s)", "ratio", "ours, next (s)", "ratio",
        "distance", "relative difference",
    ]  # fmt: skip
    rows = [
        [
            str(timing.samples),
            f"{timing.root.wall:.4g} ({timing.root.processor:.4g})",
            f"{timing.first.wall:.4g} ({timing.first.processor:.4g})",
            f"{timing.root.wall / timing.first.wall:.3g}",
            f"{timing.following.wall:.4g} ({timing.following.processor:.4g})",
            f"{timing.root.wall / timing.following.wall:.3g}",
            f"{timing.value:.6g}",
            f"{abs(timing.value - timing.root_value) / abs(timing.root_value):.1e}",
        ]
        for timing in timings
    ]
    lines = [
        *table_lines(Table(header, rows), labels=False),
        "",
        f"{settings.dimension} dimensions, {settings.reference} reference features, medians of "
        f"{settings.rounds} rounds in turn (processor seconds in brackets), "
        f"{torch.get_num_threads()} threads, {device_name(device)}. The first distance to a "
        "reference needs an eigenproblem more.",
    ]
    return "\n".join(lines)
