"""Tests of claims about FID, precision and recall against the fraction."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from evaluation.features.npz_stream import stream_rows
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.report.answers import (
    Untestable,
    all_of,
    fid_course,
    listed,
    need,
    rises,
    rows,
    text,
)
from tstitch.paper.report.margins import FID_SCATTER, TABLE_DIGIT, fallen, judge_course
from tstitch.run.samples import IMAGES, SAMPLES

FEWEST_DDIM_STEPS = 50  # half of the claim's 100; with fewer, C1 is reported and not judged
ROWS = 256  # images in memory at once


def brightness(row: Sequence[Result], low: float, high: float) -> str:
    """How much lighter the images are than the row's first point's, of 255: where FID begins to
    rise, a difference of this kind is an early error of the small model that stays."""
    if not (row[0].run.folder / SAMPLES).is_file():
        return ""
    count = row[0].point.images
    means = [mean_pixel(r.run.folder / SAMPLES, count) for r in row]
    shown = {
        r.point.fraction: mean - means[0]
        for r, mean in zip(row, means, strict=True)
        if low < r.point.fraction <= high + 1e-9
    }
    if not shown:
        return ""
    changes = ", ".join(f"{f:g}: {change:+.1f}" for f, change in shown.items())
    return f"; mean pixel value against fraction 0 ({means[0]:.1f} of 255): {changes}"


def mean_pixel(samples: Path, count: int) -> float:
    """Mean of the first images of a samples.npz, 0 to 255."""
    total, seen = 0.0, 0
    for chunk in stream_rows(samples, IMAGES, ROWS):
        part = chunk[: count - seen]
        total, seen = total + float(part.mean()) * len(part), seen + len(part)
        if seen >= count:
            break
    return total / seen


def c1(data: FigureData) -> Answer:
    answers, parts = [], []
    for row in rows(data.results):
        point, changes = row[0].point, rises(row, 0, 0.4)
        course = fid_course(changes, row[0])
        beside = point.sampler == "ddim" and point.steps < FEWEST_DDIM_STEPS
        if not beside:
            answers.append(course.answer)
        parts.append(
            f"{point.planned.protocol.split(',')[0]}{' (beside)' if beside else ''}: FID(0) "
            f"{text(row[0].estimate())}; {listed(changes)}; {course.note}{brightness(row, 0, 0.4)}"
        )
    return all_of(answers), ". ".join(parts)


def c4(data: FigureData) -> Answer:
    late = [r for r in rows(data.results)[0] if r.point.fraction >= 0.5 - 1e-9]
    changes = {b.point.fraction: b.minus(a) for a, b in pairwise(late)}
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
        name = "/".join(row[0].point.models)
        part = f"{name}: {row[0].value():.3g} to {row[-1].value():.3g} ({text(apart, '+')})"
        part += "".join(
            f", {r.point.fraction:g} better than all large by {text(r.minus(row[0]), '+')}"
            for r in better
        )
        part += "".join(f", {r.point.fraction:g} worse than all small" for r in worse)
        parts.append(part)
    return good, "; ".join(parts)


def c6(data: FigureData) -> Answer:
    answers, parts = [], []
    for row in rows(data.results):
        span = row[-1].value() - row[0].value()
        if span <= 0:
            raise Untestable("the small model alone is not worse than the large one")
        at = {round(r.point.fraction, 1): r for r in row}
        shares = {f: at[f].minus(row[0]) for f in (0.4, 0.5)}
        course = judge_course({0.4: shares[0.4]}, 0.15 * span, row[0].value(), row[0].point.images)
        answers.append(course.answer)
        name = "/".join(row[0].point.models)
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
            row[0].point.images,
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


def c10(data: FigureData) -> Answer:
    row = rows(data.results)[0]
    need(row[0], "inception_score")
    base = row[0].value("inception_score")
    changes, scores = rises(row, 0, 0.5), rises(row, 0, 0.3, "inception_score")
    course = fid_course(changes, row[0])
    losses = judge_course(fallen(scores), FID_SCATTER * base, base, row[0].point.images)
    return all_of([course.answer, losses.answer]), (
        f"FID(0) {text(row[0].estimate())}: {listed(changes)}; {course.note}; Inception Score "
        f"{text(row[0].estimate('inception_score'))}: {listed(scores)}; its losses: {losses.note}"
    )


def c13(*figures: FigureData) -> Answer:
    answers, parts, seen = [], [], set()
    for row in (row for data in figures for row in rows(data.results)):
        name = row[0].point.planned.protocol
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
    at_half = {r.point.kind: r for r in data.results if r.point.fraction > 0}
    order = ("fraction", "decreasing", "interleave", "large_to_small")
    chain = [at_half[kind] for kind in order]
    changes = [a.minus(b) for a, b in pairwise(chain)]
    small = {k: at_half[k].measurement.steps_per_denoiser["small"] for k in order}
    ends = ", ".join(f"{k} {at_half[k].value():.3g} ({small[k]} small steps)" for k in order)
    between = "; ".join(text(change, "+") for change in changes)
    return all(c.high < 0 for c in changes), f"{ends}; each minus the next: {between}"


def c18(data: FigureData) -> Answer:
    large = next(r for r in data.results if r.point.fraction == 0)
    at = {(r.point.variant, r.point.fraction): r for r in data.results}
    labels = list(dict.fromkeys(r.point.variant for r in data.results))
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
    few, many = sorted(rows(data.results), key=lambda row: row[0].point.images)
    if few[0].point.images == many[0].point.images:
        raise Untestable("both curves are of the same number of images")
    one, other = rises(few, 0, 1), rises(many, 0, 1)
    good, parts = True, []
    for f in one:
        # The few are the first of the many: what both share cancels in the difference.
        wide, narrow = (one[f].high - one[f].low) / 2, (other[f].high - other[f].low) / 2
        reach = np.sqrt(max(0.0, wide**2 - narrow**2))
        good = good and abs(one[f].value - other[f].value) <= reach
        parts.append(f"{f:g}: {text(one[f], '+')} and {text(other[f], '+')}")
    counts = f"{few[0].point.images} and {many[0].point.images} images"
    return bool(good), f"{counts}; " + "; ".join(parts)


FRACTION_TESTS: dict[str, Callable[[FigureData], Answer]] = {
    "C1": c1, "C4": c4, "C5": c5, "C6": c6, "C7": c7, "C10": c10, "C13": c13, "C14": c14,
    "C18": c18, "C19": c19,
}  # fmt: skip
