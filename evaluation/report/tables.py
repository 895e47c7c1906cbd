"""Tables and sentences that report.md and the HTML page of a sweep share."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.metrics.catalogue import find_metric
from evaluation.metrics.measured import Measured
from evaluation.report.pareto import FLOPS, TIME, front_of
from evaluation.report.points import (
    LOSS,
    Floor,
    Point,
    all_large_of,
    by_series,
    denoiser_names,
    has_fractions,
)
from evaluation.report.speed import speed_ratio
from evaluation.report.table import Table

INTERVALS = (
    "Intervals are 95 %, by a delete-a-group jackknife over the images of one run: how far a value "
    "would move with as many other images of the same run, not with another training or reference. "
    "Differences are paired: the run minus the all-large run of its series, group by group. A "
    "difference is called significant if its interval excludes 0, without a correction for the "
    "number of comparisons; an interval that contains 0 does not show that two runs are equal."
)
FRONTS = (
    "Pareto: no other run of the sweep has a lower FID at no more cost, or a lower cost at no "
    "higher FID; time is ms per image, FLOPs is arithmetic. Fronts compare the values, not "
    "their intervals."
)
NOTHING = "-"
FLOOR = "Real images: the same metrics of {} real test images, the floor of what a model can reach."


def significant(value: float, digits: int = 4) -> str:
    """A number with this many significant digits, never in scientific notation above 1e-6."""
    if abs(value) < 1e-6:
        return f"{value:.{digits - 1}g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def interval(value: float, low: float, high: float, sign: str = "") -> str:
    """`3.21 [3.00, 3.42]`, with as many decimals as make two digits of the half width."""
    half = (high - low) / 2
    size = half / 10 if half > 0 else abs(value) / 1000 or 1.0
    places = min(max(0, -math.floor(math.log10(size))), 8)
    return f"{value:{sign}.{places}f} [{low:{sign}.{places}f}, {high:{sign}.{places}f}]"


def fid_difference(point: Point) -> str:
    """The paired difference of FID with its interval, or `-`."""
    paired = point.differences.get(LOSS)
    return interval(paired.difference, paired.low, paired.high, "+") if paired else NOTHING


def milliseconds(point: Point) -> str:
    """Milliseconds per image, or `-` if the run was not timed."""
    return NOTHING if (s := point.seconds_per_image) is None else significant(1000 * s)


def steps_text(point: Point) -> str:
    """`small 10, large 15`."""
    return ", ".join(f"{name} {steps:g}" for name, steps in point.steps_per_denoiser.items())


def speed_up(point: Point, large: Point | None) -> str:
    """How many times less time than the all-large run, or `-`."""
    found = speed_ratio(point, large)
    return NOTHING if found is None else f"{found:.2f}x"


def front_marks(points: Sequence[Point]) -> list[str]:
    """Per point the fronts of the whole sweep that it is on: `time, FLOPs`, one, or ``."""
    fronts = {kind: set(front_of(points, kind)) for kind in (TIME, FLOPS)}
    return [", ".join(k for k, front in fronts.items() if i in front) for i in range(len(points))]


def direction(key: str) -> str:
    """`higher` or `lower`, what is better in a metric; empty for an unknown one."""
    metric = find_metric(key)
    return "" if metric is None else "higher" if metric.higher_is_better else "lower"


def result_table(points: Sequence[Point], series: str, names: Mapping[str, str]) -> Table:
    """Cost and quality of the runs of a series.

    Args:
        points: the whole sweep, which decides the fronts.
        names: of the metrics, by key.
    """
    marks, members = front_marks(points), by_series(points)[series]
    large = all_large_of([points[i] for i in members])
    first = "fraction" if has_fractions([points[i] for i in members]) else "run"
    header = [first, "steps", "NFE", "ms / image", "speed-up", "GMACs / image"]
    header += [names[LOSS], "difference of FID", "Pareto", *_others(names, names)]
    rows = []
    for index in members:
        point = points[index]
        row = [point.short, steps_text(point), f"{point.nfe:g}", milliseconds(point)]
        row += [speed_up(point, large), significant(point.gmacs_per_image)]
        values = _values(point.metrics, names)
        row += [values[LOSS], fid_difference(point), marks[index] or NOTHING]
        rows.append([*row, *_others(values, names)])
    return Table(header, rows)


def floor_row(floor: Floor, names: Mapping[str, str]) -> list[str]:
    """The row of real test images below the runs of `result_table`."""
    values = _values(floor.metrics, names)
    return ["real images", *[NOTHING] * 5, values[LOSS], NOTHING, NOTHING, *_others(values, names)]


def _values(metrics: Mapping[str, Measured], names: Mapping[str, str]) -> dict[str, str]:
    found = {key: metrics.get(key) for key in names}
    return {k: _marked(m) if m else NOTHING for k, m in found.items()}


def _marked(metric: Measured) -> str:
    flags = f" ({', '.join(metric.flags)})" if metric.flags else ""
    return interval(metric.value, metric.low, metric.high) + flags


def _others(texts: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    """The texts of all metrics but FID, which has its place beside its difference."""
    return [texts[key] for key in names if key != LOSS]


def cost_table(points: Sequence[Point], series: str) -> Table:
    """Time and arithmetic per image of each denoiser in the runs of a series."""
    members = [points[i] for i in by_series(points)[series]]
    names = denoiser_names(members)
    header = ["fraction" if has_fractions(members) else "run"]
    header += [f"ms in {name}" for name in names] + ["ms elsewhere"]
    header += [f"GMACs in {name}" for name in names] + ["GFLOPs / image"]
    rows = []
    for point in members:
        spent = [point.seconds_per_denoiser.get(name) for name in names]
        total = point.seconds_per_image
        rest = None if total is None else total - sum(s or 0.0 for s in spent)
        row = [NOTHING if s is None else significant(1000 * s) for s in [*spent, rest]]
        used = [n if n in point.steps_per_denoiser else None for n in names]
        row += [significant(point.gmacs_of(n)) if n else NOTHING for n in used]
        rows.append([point.short, *row, significant(point.flops_per_image / 1e9)])
    return Table(header, rows)


def warnings(points: Sequence[Point], floor: Floor | None) -> list[str]:
    """What makes the numbers of a sweep hard to compare, a sentence each."""
    found, counts = [], sorted({p.num_images for p in points})
    listed = ", ".join(map(str, counts))
    if len(counts) > 1:
        found.append(
            f"Runs have different numbers of images ({listed}): FID falls with more images, so "
            "that their values cannot be compared."
        )
    if floor and counts != [floor.num_images]:
        found.append(
            f"The floor is of {floor.num_images} images, the runs of {listed}: FID falls with "
            "more images, so that the floor is no exact bound."
        )
    return found


def protocol_lines(
    points: Sequence[Point], protocol: Mapping[str, Any]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (key, value) texts: the sweep's protocol, then what the runs say of theirs.

    A key on which runs disagree lists its values with the number of runs.
    """
    seen: dict[str, dict[str, int]] = {}
    for point in points:
        for key, text in flatten(point.protocol).items():
            counts = seen.setdefault(key, {})
            counts[text] = counts.get(text, 0) + 1
    lines = flatten(protocol)
    for key, counts in seen.items():
        whole = len(counts) == 1 and sum(counts.values()) == len(points)
        shown = [t if whole else f"{t} ({n} of {len(points)})" for t, n in counts.items()]
        more = [f"and {len(shown) - 4} more"] if len(shown) > 4 else []
        lines.setdefault(key, "; ".join([*shown[:4], *more]))
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, text in lines.items():
        head, _, rest = key.partition(".")
        groups.setdefault(head, []).append((rest, text))
    return list(groups.items())


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaves of nested JSON as texts, by dotted key."""
    leaves: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            leaves[f"{prefix}{key}"] = ", ".join(map(str, value))
        else:
            leaves[f"{prefix}{key}"] = str(value)
    return leaves
