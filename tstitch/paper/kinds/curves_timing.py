"""Time against fraction in one interleaved measurement (Fig. 1), in processes of its own."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from evaluation.report.speed import above_arithmetic
from evaluation.report.table import Table, table_lines
from tstitch.benchmark.measure import rotated, running
from tstitch.benchmark.settings import Case
from tstitch.config import fields
from tstitch.engine.settings import choose_engines
from tstitch.maker.protocol import Experiment
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.measure import Result
from tstitch.paper.report.answers import Untestable, rows
from tstitch.runtime.threads import available_cores

log = logging.getLogger(__name__)


class TimingSettings(fields.Settings):
    """An interleaved measurement of time against fraction."""

    batch_size: fields.Count
    rounds: fields.Count


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one batch at every fraction: median, least and most over the rounds."""

    fractions: list[float]
    seconds: list[list[float]]
    batch_size: int
    rounds: int
    device: str
    engine: str
    threads: int
    cores: int


def time_fractions(
    experiment: Experiment, fractions: Sequence[float], settings: TimingSettings, folder: Path
) -> Timing:
    """Times one batch at every fraction, by rounds that take turns; on rank 0.

    Args:
        experiment: any run of a pair of two.
        folder: where shards are written, and removed again.

    Raises:
        UserError: what the engine cannot do here.
    """
    engine = choose_engines(experiment.engine, experiment.run)[0]
    kind = "compiled" if engine.compile else "eager"
    case = Case(settings.batch_size, experiment.run.dtype, 1, kind)
    seconds: dict[float, list[float]] = {fraction: [] for fraction in fractions}
    with running([case], experiment.config) as (crew,):
        setup = crew.ask("prepare", tuple(fractions))[0]
        for number in range(settings.rounds + 1):
            log.info("timing: round %d of %d", number, settings.rounds)
            for fraction in rotated(fractions, number):
                answer = crew.ask("sample", fraction, 1, str(folder))[0]
                if number:  # the first one warms up
                    seconds[fraction].append(answer["seconds"])
    return Timing(
        fractions=list(fractions),
        seconds=[[median(s), min(s), max(s)] for s in seconds.values()],
        batch_size=settings.batch_size,
        rounds=settings.rounds,
        device=setup["device"],
        engine=setup["engine"],
        threads=setup["threads"],
        cores=available_cores(),
    )


def timing_table(
    timing: Timing, results: Sequence[Result], published: Sequence[Curve]
) -> list[str]:
    """Markdown of the times and speed-ups, the paper's beside.

    Args:
        results: of the figure, for the arithmetic.
        published: curves with the paper's values; the first one counts.
    """
    paper = published[0].published("seconds") if published else {}
    whole, fewer = paper.get(0.0), _fewer_flops(results)
    cells = [
        [f"{f:g}", *(f"{1e3 * s / timing.batch_size:.1f}" for s in seconds),
         _speed(timing.seconds[0][0] / seconds[0], fewer.get(f)),
         f"{whole / paper[f]:.2f}x" if whole and f in paper else "-"]
        for f, seconds in zip(timing.fractions, timing.seconds, strict=True)
    ]  # fmt: skip
    header = ["fraction", "ms / image, median", "least", "most", "speed-up", "paper's"]
    about = (
        f"Batches of {timing.batch_size} images in one process on {timing.device}, "
        f"{timing.threads} thread{'s' * (timing.threads > 1)}; median, least and most of "
        f"{timing.rounds} rounds in which all fractions take turns."
    )
    return ["## Time", "", about, "", *table_lines(Table(header, cells)), ""]


def _fewer_flops(results: Sequence[Result]) -> dict[float, float]:
    """How many times fewer FLOPs than fraction 0, by fraction, of the figure's first row."""
    gmacs = {r.point.fraction: r.measured.gmacs_per_image for r in reversed(results) if r.measured}
    return {f: gmacs[0.0] / own for f, own in gmacs.items()} if 0.0 in gmacs else {}


def _speed(ratio: float, flops: float | None) -> str:
    """The speed-up, or what it cannot be above."""
    if flops is not None and above_arithmetic(ratio, flops):
        return f"above the {flops:.2f}x of the FLOPs: measure again, on an idle machine"
    return f"{ratio:.2f}x"


def _timing(data: FigureData) -> Timing:
    if data.measured is None:
        raise Untestable("time was not measured; the figure has no `timing`")
    return data.measured


def c2(data: FigureData) -> Answer:
    timing = _timing(data)
    seconds = dict(zip(timing.fractions, timing.seconds, strict=True))
    speed = {f: seconds[0.0][0] / seconds[f][0] for f in (0.4, 0.5)}
    spread = {
        f: f"{speed[f]:.2f}x [{seconds[0.0][1] / seconds[f][2]:.2f}, "
        f"{seconds[0.0][2] / seconds[f][1]:.2f}]"
        for f in speed
    }
    ends = f"0.4: {spread[0.4]}; 0.5: {spread[0.5]} (range over {timing.rounds} rounds)"
    return speed[0.4] >= 1.4 and speed[0.5] >= 1.65, ends


def c3(data: FigureData) -> Answer:
    timing, row = _timing(data), rows(data.results)[0]
    ratio = timing.seconds[0][0] / timing.seconds[-1][0]
    gmacs = row[0].measurement.gmacs_per_image / row[-1].measurement.gmacs_per_image
    return ratio >= 8, f"time {ratio:.1f}x, multiply-adds {gmacs:.1f}x"


def c11(data: FigureData) -> Answer:
    timing = _timing(data)
    x, y = np.array(timing.fractions), np.array([s[0] for s in timing.seconds])
    slope, level = np.polyfit(x, y, 1)
    rest = y - (slope * x + level)
    explained = 1 - (rest**2).sum() / ((y - y.mean()) ** 2).sum()
    worst = np.abs(rest).max() / y.max()
    return explained >= 0.99, f"{explained:.2%} explained; farthest point {worst:.1%} of all large"


TIMING_TESTS = {"C2": c2, "C3": c3, "C11": c11}
