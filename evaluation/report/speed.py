"""Which times of a sweep may be compared, and the speed-ups that follow from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from evaluation.report.points import Point, all_large_of, by_series

STEADY = 0.1  # by which the times of runs may miss what their denoisers' times come to
ARITHMETIC = 0.05  # by which a speed-up may pass the ratio of FLOPs, an error of measurement
UNKNOWN = ("unknown processes and threads",)
REMEDY = "set sweep.timing_rounds=3, which measures all schedules in turn"
IN_TURN = (
    "the load changed within the rounds, or the large denoiser waits for something else than "
    "arithmetic, as for weights that are offloaded. No speed-up is told; measure again on an idle "
    "machine, with more sweep.timing_rounds."
)


def speed_ratio(point: Point, large: Point | None) -> float | None:
    """How many times less time than the all-large run; of rounds in turn the median of each's.

    None if one of them is not timed, if the times are of different measurements, or above what
    the arithmetic allows.
    """
    found = _ratio(point, large)
    if found is None or large is None or _is_false(found, point, large):
        return None
    return found


def arithmetic_ratio(point: Point, large: Point) -> float:
    """How many times fewer FLOPs than the all-large run."""
    return large.flops_per_image / point.flops_per_image


def above_arithmetic(speed: float, flops: float) -> bool:
    """Whether a speed-up is above a ratio of FLOPs by more than the error of measurement."""
    return speed > flops * (1 + ARITHMETIC)


def speed_range(point: Point, large: Point) -> tuple[float, float] | None:
    """Least and most speed-up over the rounds; None without several."""
    ratios = _of_rounds(point, large)
    return (min(ratios), max(ratios)) if len(ratios) > 1 else None


def comparable_times(
    points: Sequence[Point], remedy: str = REMEDY
) -> tuple[list[Point], list[str]]:
    """The points, without the times that cannot be compared with the others'.

    Times are compared if they were taken in turn, in one measurement; else only those of the same
    processes, threads, device, engine and batch size, while the load of the machine was steady:
    every run must take about as long as its denoisers do in the runs of its series. That is told
    from the times themselves.

    Args:
        remedy: what gives times that can be compared, for the reasons.

    Returns:
        The points in their order, and the reasons, a sentence each.
    """
    points, notes = _of_one_measurement(list(points), remedy)
    for members in by_series(points).values():
        series = [points[i] for i in members]
        reason = _unsteady(series, remedy)
        if reason:
            notes.append(reason)
            for i in members:
                points[i] = untimed(points[i])
        elif found := _above_arithmetic(series):  # timed in turn, and yet faster than can be
            notes.append(f"{found} {IN_TURN}")
    return points, notes


def untimed(point: Point) -> Point:
    """The point without its times."""
    return replace(point, seconds_per_image=None, seconds_per_denoiser={}, round_seconds=())


def _of_one_measurement(points: list[Point], remedy: str) -> tuple[list[Point], list[str]]:
    """Keeps the times of the conditions that most runs share."""
    timed = [i for i, p in enumerate(points) if p.seconds_per_image is not None]
    counts = Counter(_conditions(points[i]) for i in timed if len(points[i].timed_in) < 2)
    kept = max(counts, key=counts.__getitem__, default=None)
    odd = [i for i in timed if len(points[i].timed_in) > 1 or _conditions(points[i]) != kept]
    if not odd:
        return points, []
    named: dict[str, list[Point]] = {}
    for i in odd:
        named.setdefault(" and ".join(points[i].timed_in or UNKNOWN), []).append(points[i])
    parts = [f"{_names(runs)} ({where})" for where, runs in named.items()]
    others = f"the others are of {kept[0][0]}" if kept else "none is of one measurement"
    note = (
        f"Mixed timings: {'; '.join(parts)}; {others}. Their times are left out, and no speed-up "
        f"is told from them; {remedy}."
    )
    return [untimed(p) if i in odd else p for i, p in enumerate(points)], [note]


def _conditions(point: Point) -> tuple[tuple[str, ...], int]:
    return point.timed_in or UNKNOWN, len(point.round_seconds)


def _unsteady(series: Sequence[Point], remedy: str) -> str:
    """Why the times of a series, from its own runs, are of different loads; empty if not."""
    timed = [p for p in series if p.seconds_per_image is not None and not p.round_seconds]
    seconds = [p.seconds_per_image for p in timed if p.seconds_per_image is not None]
    if len(timed) < 2:
        return ""
    expected = _expected(timed, seconds)
    miss = max(abs(s / t - 1) for s, t in zip(seconds, expected, strict=True))
    if miss > STEADY:
        return (
            f"{series[0].series}: the load of the machine changed between the runs (their times "
            f"miss those of their denoisers by up to {miss:.0%}). The times are left out, and no "
            f"speed-up is told from them; {remedy}."
        )
    if not (found := _above_arithmetic(timed)):
        return ""
    return (
        f"{found} the load of the machine changed between the runs. The times are left out, and no "
        f"speed-up is told from them; {remedy}."
    )


def _expected(timed: Sequence[Point], seconds: Sequence[float]) -> list[float]:
    """Seconds per image of every point, from medians over all of an evaluation of each denoiser."""
    each: dict[str, list[float]] = {}
    for point in timed:
        for name, taken in point.seconds_per_denoiser.items():
            if count := point.evaluations_of(name):
                each.setdefault(name, []).append(taken / count)
    typical = {name: median(values) for name, values in each.items()}
    rest = median(
        s - sum(p.seconds_per_denoiser.values()) for p, s in zip(timed, seconds, strict=True)
    )
    return [
        rest + sum(p.evaluations_of(name) * typical.get(name, 0.0) for name in p.steps_per_denoiser)
        for p in timed
    ]


def _above_arithmetic(series: Sequence[Point]) -> str:
    """Which points are faster than the arithmetic allows, the beginning of a note; or nothing."""
    large = all_large_of(series)
    over = [p for p in series if large and (r := _ratio(p, large)) and _is_false(r, p, large)]
    if large is None or not over:
        return ""
    return (
        f"{series[0].series}: {_names(over)} measured above what the arithmetic allows "
        f"({arithmetic_ratio(over[0], large):.1f}x):"
    )


def _ratio(point: Point, large: Point | None) -> float | None:
    if large is None or not large.seconds_per_image or not point.seconds_per_image:
        return None
    if _conditions(point) != _conditions(large):
        return None
    ratios = _of_rounds(point, large)
    return median(ratios) if ratios else large.seconds_per_image / point.seconds_per_image


def _of_rounds(point: Point, large: Point) -> list[float]:
    if len(point.round_seconds) != len(large.round_seconds):
        return []
    return [b / a for a, b in zip(point.round_seconds, large.round_seconds, strict=True)]


def _is_false(ratio: float, point: Point, large: Point) -> bool:
    return above_arithmetic(ratio, arithmetic_ratio(point, large))


def _names(points: Sequence[Point]) -> str:
    return ", ".join(p.label for p in points)
