"""Tests of claims about FID against fraction, mixes, samplers and steps."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from evaluation.jackknife import Interval
from evaluation.pareto import pareto_front
from evaluation.tables import interval as shown
from tstitch.archive import IMAGES, SAMPLES
from tstitch.npz import stream_rows
from tstitch.paper.figures import FigureData
from tstitch.paper.margins import FID_SCATTER, TABLE_DIGIT, Course, fallen, judge_course
from tstitch.paper.measure import Result

Answer = tuple[bool | None, str]  # None: what was measured does not tell
MIN_FRONT = 3
FEWEST_DDIM_STEPS = 50  # half of the claim's 100; with fewer, C1 is reported and not judged
ROWS = 256  # images in memory at once


class Untestable(Exception):
    """What was measured cannot answer; the message says why."""


def need(result: Result, *metrics: str) -> None:
    """Refuses to judge what was not measured."""
    for metric in metrics:
        if metric not in result.evaluation["metrics"]:
            raise Untestable(f"{metric} was not measured; the reference needs images")


def text(value: Interval, sign: str = "") -> str:
    """`1.23 [1.20, 1.26]`."""
    return shown(value.value, value.low, value.high, sign)


def rows(results: Iterable[Result]) -> list[list[Result]]:
    """Points that are compared with one another, each row by fraction."""
    found: dict[tuple, list[Result]] = {}
    for result in results:
        found.setdefault((*result.spot.row, result.spot.variant), []).append(result)
    return [sorted(row, key=lambda r: r.spot.fraction) for row in found.values()]


def rises(
    row: Sequence[Result], low: float, high: float, metric: str = "fid"
) -> dict[float, Interval]:
    """Paired differences to the row's first point, of fractions in (low, high]."""
    return {
        r.spot.fraction: r.minus(row[0], metric)
        for r in row[1:]
        if low < r.spot.fraction <= high + 1e-9
    }


def listed(changes: Mapping[float, Interval]) -> str:
    """`0.1: -0.01 [-0.02, 0.00]; ...`."""
    return "; ".join(f"{f:g}: {text(change, '+')}" for f, change in changes.items())


def brightness(row: Sequence[Result], low: float, high: float) -> str:
    """How much lighter the images are than the row's first point's, of 255: where FID begins to
    rise, a difference of this kind is an early error of the small model that stays."""
    if not (row[0].folder / SAMPLES).is_file():
        return ""
    count = row[0].spot.images
    means = [mean_pixel(r.folder / SAMPLES, count) for r in row]
    shown = {
        r.spot.fraction: mean - means[0]
        for r, mean in zip(row, means, strict=True)
        if low < r.spot.fraction <= high + 1e-9
    }
    if not shown:
        return ""
    changes = ", ".join(f"{f:g}: {change:+.1f}" for f, change in shown.items())
    return f"; mean pixel value against fraction 0 ({means[0]:.1f} of 255): {changes}"


def mean_pixel(samples: Path, count: int) -> float:
    """Mean of the first images of a samples.npz, 0 to 255."""
    total = seen = 0
    for chunk in stream_rows(samples, IMAGES, ROWS):
        part = chunk[: count - seen]
        total, seen = total + float(part.mean()) * len(part), seen + len(part)
        if seen >= count:
            break
    return total / seen


def step_seconds(results: Iterable[Result]) -> dict[str, float]:
    """Seconds per image of one guided step of each model, medians over runs.

    Times of single runs depend on what else the machine did; these are the same for all mixes.
    """
    seen: dict[str, list[float]] = {}
    for result in results:
        for role, seconds in result.point.seconds_per_denoiser.items():
            if steps := result.point.steps_per_denoiser[role]:
                seen.setdefault(role, []).append(seconds / steps)
    return {role: median(values) for role, values in seen.items()}


def denoise_seconds(result: Result, steps: Mapping[str, float]) -> float:
    """Seconds per image of a mix, from the time of each model's steps."""
    return sum(n * steps[role] for role, n in result.point.steps_per_denoiser.items() if n)


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


def fid_course(changes: Mapping[float, Interval], base: Result) -> Course:
    """Whether FID does not rise above a base, by the paper's own scatter."""
    return judge_course(changes, FID_SCATTER * base.value(), base.value(), base.spot.images)


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """False if one is false, else None if one is not resolved."""
    found = list(answers)
    return False if False in found else None if None in found else True


def c1(data: FigureData) -> Answer:
    answers, parts = [], []
    for row in rows(data.results):
        spot, changes = row[0].spot, rises(row, 0, 0.4)
        course = fid_course(changes, row[0])
        beside = spot.sampler == "ddim" and spot.steps < FEWEST_DDIM_STEPS
        if not beside:
            answers.append(course.answer)
        parts.append(
            f"{spot.planned.protocol.split(',')[0]}{' (beside)' if beside else ''}: FID(0) "
            f"{text(row[0].estimate())}; {listed(changes)}; {course.note}{brightness(row, 0, 0.4)}"
        )
    return all_of(answers), ". ".join(parts)


def c2(data: FigureData) -> Answer:
    timing = data.extra["timing"]
    seconds = dict(zip(timing["fractions"], timing["seconds"], strict=True))
    found = {f: seconds[0.0][0] / seconds[f][0] for f in (0.4, 0.5)}
    spread = {
        f: f"{found[f]:.2f}x [{seconds[0.0][1] / seconds[f][2]:.2f}, "
        f"{seconds[0.0][2] / seconds[f][1]:.2f}]"
        for f in found
    }
    ends = f"0.4: {spread[0.4]}; 0.5: {spread[0.5]} (range over {timing['rounds']} rounds)"
    return found[0.4] >= 1.4 and found[0.5] >= 1.65, ends


def c3(data: FigureData) -> Answer:
    timing, row = data.extra["timing"], rows(data.results)[0]
    ratio = timing["seconds"][0][0] / timing["seconds"][-1][0]
    gmacs = row[0].point.gmacs_per_image / row[-1].point.gmacs_per_image
    return ratio >= 8, f"time {ratio:.1f}x, multiply-adds {gmacs:.1f}x"


def c4(data: FigureData) -> Answer:
    late = [r for r in rows(data.results)[0] if r.spot.fraction >= 0.5 - 1e-9]
    changes = {b.spot.fraction: b.minus(a) for a, b in pairwise(late)}
    ends = f"FID {late[0].value():.3g} to {late[-1].value():.3g}; each step: {listed(changes)}"
    # A step whose interval holds 0 is neither up nor down.
    return all_of(
        False if c.high < 0 else True if c.low > 0 else None for c in changes.values()
    ), ends


def c5(data: FigureData) -> Answer:
    good, parts = True, []
    for row in rows(data.results):
        better = [r for r in row[1:-1] if r.minus(row[0]).high < 0]
        worse = [r for r in row[1:-1] if r.minus(row[-1]).low > 0]
        apart = row[-1].minus(row[0])
        good = good and not better and not worse and apart.low > 0
        name = "/".join(row[0].spot.models)
        part = f"{name}: {row[0].value():.3g} to {row[-1].value():.3g} ({text(apart, '+')})"
        part += "".join(
            f", {r.spot.fraction:g} better than all large by {text(r.minus(row[0]), '+')}"
            for r in better
        )
        part += "".join(f", {r.spot.fraction:g} worse than all small" for r in worse)
        parts.append(part)
    return good, "; ".join(parts)


def c6(data: FigureData) -> Answer:
    answers, parts = [], []
    for row in rows(data.results):
        span = row[-1].value() - row[0].value()
        if span <= 0:
            raise Untestable("the small model alone is not worse than the large one")
        at = {round(r.spot.fraction, 1): r for r in row}
        shares = {f: at[f].minus(row[0]) for f in (0.4, 0.5)}
        course = judge_course({0.4: shares[0.4]}, 0.15 * span, row[0].value(), row[0].spot.images)
        answers.append(course.answer)
        name = "/".join(row[0].spot.models)
        listing = ", ".join(
            f"{f:g}: {text(c, '+')}, {c.value / span:.0%} [{c.low / span:.0%}, {c.high / span:.0%}]"
            for f, c in shares.items()
        )
        parts.append(f"{name}: {listing}; {course.note}")
    return all_of(answers), "; ".join(parts)


def c7(data: FigureData) -> Answer:
    row = rows(data.results)[0]
    need(row[0], "precision", "recall")
    precision, recall = rises(row, 0, 0.4, "precision"), rises(row, 0, 0.7, "recall")
    last = row[-1].minus(row[0], "precision")
    courses = {
        name: judge_course(
            fallen({f: c for f, c in changes.items() if f < end}),
            TABLE_DIGIT,
            row[0].value(name),
            row[0].spot.images,
        )
        for name, changes, end in (("precision", precision, 0.35), ("recall", recall, 0.65))
    }
    picked = {f: c for f, c in recall.items() if f > 0.55}
    return all_of([last.high < 0, *(course.answer for course in courses.values())]), (
        f"precision {text(row[0].estimate('precision'))}: {listed(precision)}; "
        f"1: {text(last, '+')}; its losses: {courses['precision'].note}; "
        f"recall {text(row[0].estimate('recall'))}: {listed(picked)}; "
        f"its losses: {courses['recall'].note}"
    )


def c8(data: FigureData) -> Answer:
    steps = step_seconds(data.results)
    large = next(r for r in data.results if r.spot.fraction == 0)
    whole = denoise_seconds(large, steps)
    fast = [r for r in data.results if whole / denoise_seconds(r, steps) >= 1.7]
    if not fast:
        raise Untestable("no mix is 1.7 times as fast as the large model here")
    best = min(fast, key=lambda r: r.value())
    along = front(data.results, steps)
    jump = largest_step(along)
    change = best.minus(large)
    course = fid_course({best.spot.fraction: change}, large)
    ends = (
        f"best of {len(fast)} mixes of at least 1.7x: {best.spot.planned.label} "
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
            f"guidance {row[0].spot.guidance:g}: {len(along)} of {len(row)} mixes on the front, "
            f"largest step {jump:.0%}"
        )
    return good, "; ".join(parts)


def c11(data: FigureData) -> Answer:
    timing = data.extra["timing"]
    x, y = np.array(timing["fractions"]), np.array([s[0] for s in timing["seconds"]])
    slope, level = np.polyfit(x, y, 1)
    rest = y - (slope * x + level)
    explained = 1 - (rest**2).sum() / ((y - y.mean()) ** 2).sum()
    worst = np.abs(rest).max() / y.max()
    return explained >= 0.99, f"{explained:.2%} explained; farthest point {worst:.1%} of all large"


def c13(*figures: FigureData) -> Answer:
    answers, parts, seen = [], [], set()
    for row in (row for data in figures for row in rows(data.results)):
        name = row[0].spot.planned.protocol
        if name in seen:
            continue
        seen.add(name)
        changes = rises(row, 0, 0.4)
        course = fid_course(changes, row[0])
        answers.append(course.answer)
        mark = {True: "does not rise", False: "rises", None: "not resolved"}[course.answer]
        parts.append(
            f"{name.split(',')[0]} {mark} ({listed(changes)} on {row[0].value():.3g}; "
            f"{course.note}{brightness(row, 0, 0.2)})"
        )
    return all_of(answers), "; ".join(parts)


def c14(data: FigureData) -> Answer:
    at_half = {r.spot.kind: r for r in data.results if r.spot.fraction > 0}
    order = ("fraction", "decreasing", "interleave", "large_to_small")
    chain = [at_half[kind] for kind in order]
    changes = [a.minus(b) for a, b in pairwise(chain)]
    small = {k: at_half[k].point.steps_per_denoiser["small"] for k in order}
    ends = ", ".join(f"{k} {at_half[k].value():.3g} ({small[k]} small steps)" for k in order)
    between = "; ".join(text(change, "+") for change in changes)
    return all(c.high < 0 for c in changes), f"{ends}; each minus the next: {between}"


def c18(data: FigureData) -> Answer:
    large = next(r for r in data.results if r.spot.fraction == 0)
    at = {(r.spot.variant, r.spot.fraction): r for r in data.results}
    labels = list(dict.fromkeys(r.spot.variant for r in data.results))
    first = next(label for label in labels if label != "last")
    early, late = (at[first, f].minus(at["last", f]) for f in (0.2, 1.0))
    course = fid_course({0.2: early}, large)
    others = "; ".join(
        f"{label} {text(at[label, 0.2].minus(at['last', 0.2]), '+')}"
        for label in labels
        if label not in ("last", first)
    )
    return all_of([course.answer, late.low > 0]), (
        f"{first} minus last: at 0.2 {text(early, '+')}, at 1 {text(late, '+')}; {course.note}; "
        f"all large {large.value():.3g}, last at 1 {at['last', 1.0].value():.3g}; at 0.2 the other "
        f"checkpoints: {others}"
    )


def c19(data: FigureData) -> Answer:
    few, many = sorted(rows(data.results), key=lambda row: row[0].spot.images)
    if few[0].spot.images == many[0].spot.images:
        raise Untestable("both curves are of the same number of images")
    one, other = rises(few, 0, 1), rises(many, 0, 1)
    good, parts = True, []
    for f in one:
        # The few are the first of the many: what both share cancels in the difference.
        wide, narrow = (one[f].high - one[f].low) / 2, (other[f].high - other[f].low) / 2
        reach = np.sqrt(max(0.0, wide**2 - narrow**2))
        good = good and abs(one[f].value - other[f].value) <= reach
        parts.append(f"{f:g}: {text(one[f], '+')} and {text(other[f], '+')}")
    counts = f"{few[0].spot.images} and {many[0].spot.images} images"
    return bool(good), f"{counts}; " + "; ".join(parts)


def c20(data: FigureData) -> Answer:
    steps, good, parts = step_seconds(data.results), True, []
    for guidance in sorted({r.spot.guidance for r in data.results}):
        own = [r for r in data.results if r.spot.guidance == guidance]
        most = max(r.spot.steps for r in own)
        along = front([r for r in own if r.spot.curve == 0], steps)
        fewer = [r for r in own if r.spot.curve == 1 and most / 2 <= r.spot.steps < most]
        for result in sorted(fewer, key=lambda r: -r.spot.steps):
            time = denoise_seconds(result, steps)
            within = [r for r in along if denoise_seconds(r, steps) <= time * (1 + 1e-9)]
            place = f"guidance {guidance:g}, {result.spot.steps} steps {result.value():.3g}"
            if not within:
                good = False
                parts.append(f"{place}, no mix in that time")
                continue
            change = min(within, key=lambda r: r.value()).minus(result)
            good = good and change.low <= 0
            parts.append(f"{place}, best mix in that time {text(change, '+')}")
    return good, "; ".join(parts)


CURVE_TESTS: Mapping[str, Callable[..., Answer]] = {
    "C1": c1, "C2": c2, "C3": c3, "C4": c4, "C5": c5, "C6": c6, "C7": c7, "C8": c8, "C9": c9,
    "C11": c11, "C13": c13, "C14": c14, "C18": c18, "C19": c19, "C20": c20,
}  # fmt: skip
