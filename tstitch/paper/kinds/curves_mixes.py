"""Time of mixes by arithmetic, their Pareto front, and the tests of claims about it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from evaluation.report.pareto import pareto_front
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.report.answers import Untestable, all_of, fid_course, rows, text

MIN_FRONT = 3


def step_seconds(results: Iterable[Result]) -> dict[str, float]:
    """Seconds per image of one guided step of each model, medians over runs.

    Times of single runs depend on what else the machine did; these are the same for all mixes.
    """
    seen: dict[str, list[float]] = {}
    for result in results:
        for role, seconds in result.measurement.seconds_per_denoiser.items():
            if steps := result.measurement.steps_per_denoiser[role]:
                seen.setdefault(role, []).append(seconds / steps)
    return {role: median(values) for role, values in seen.items()}


def denoise_seconds(result: Result, steps: Mapping[str, float]) -> float:
    """Seconds per image of a mix, from the time of each model's steps."""
    return sum(n * steps[role] for role, n in result.measurement.steps_per_denoiser.items() if n)


def front(results: Sequence[Result], steps: Mapping[str, float]) -> list[Result]:
    """The Pareto front over time and FID, cheap to dear."""
    costs = [denoise_seconds(r, steps) for r in results]
    return [results[i] for i in pareto_front(costs, [r.value() for r in results])]


def largest_step(along: Sequence[Result]) -> float:
    """The largest difference of FID between neighbours, as a part of the whole range."""
    values = [r.value() for r in along]
    if len(values) < MIN_FRONT:
        raise Untestable(f"only {len(values)} mixes are on the front")
    return max(abs(b - a) for a, b in pairwise(values)) / (max(values) - min(values))


def c8(data: FigureData) -> Answer:
    steps = step_seconds(data.results)
    large = next(r for r in data.results if r.point.fraction == 0)
    whole = denoise_seconds(large, steps)
    fast = [r for r in data.results if whole / denoise_seconds(r, steps) >= 1.7]
    if not fast:
        raise Untestable("no mix is 1.7 times as fast as the large model here")
    best = min(fast, key=lambda r: r.value())
    along = front(data.results, steps)
    jump = largest_step(along)
    change = best.minus(large)
    course = fid_course({best.point.fraction: change}, large)
    ends = (
        f"best of {len(fast)} mixes of at least 1.7x: {best.point.planned.label} "
        f"({whole / denoise_seconds(best, steps):.2f}x), {text(change, '+')} on "
        f"{text(large.estimate())}; {course.note}; {len(along)} mixes on the front, largest step "
        f"{jump:.0%}"
    )
    return all_of([course.answer, jump <= 0.25]), ends


def c9(data: FigureData) -> Answer:
    good, parts = True, []
    for row in rows(data.results):
        along = front(row, step_seconds(data.results))
        jump = largest_step(along)
        limit = 1 / 4 if len(row) > 30 else 1 / 3
        good = good and jump <= limit
        parts.append(
            f"guidance {row[0].point.guidance:g}: {len(along)} of {len(row)} mixes on the front, "
            f"largest step {jump:.0%}"
        )
    return good, "; ".join(parts)


def c20(data: FigureData) -> Answer:
    steps, good, parts = step_seconds(data.results), True, []
    for guidance in sorted({r.point.guidance for r in data.results}):
        own = [r for r in data.results if r.point.guidance == guidance]
        most = max(r.point.steps for r in own)
        along = front([r for r in own if r.point.curve == 0], steps)
        fewer = [r for r in own if r.point.curve == 1 and most / 2 <= r.point.steps < most]
        for result in sorted(fewer, key=lambda r: -r.point.steps):
            time = denoise_seconds(result, steps)
            within = [r for r in along if denoise_seconds(r, steps) <= time * (1 + 1e-9)]
            place = f"guidance {guidance:g}, {result.point.steps} steps {result.value():.3g}"
            if not within:
                good = False
                parts.append(f"{place}, no mix in that time")
                continue
            change = min(within, key=lambda r: r.value()).minus(result)
            good = good and change.low <= 0
            parts.append(f"{place}, best mix in that time {text(change, '+')}")
    return good, "; ".join(parts)


MIX_TESTS = {"C8": c8, "C9": c9, "C20": c20}
