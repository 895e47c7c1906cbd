"""Tests of claims about text-to-image pairs: FID and alignment against the fraction."""

from collections.abc import Callable, Sequence

from evaluation.metrics.jackknife import Interval, interval
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

BETTER_TO = 0.3  # the paper's Table 2: FID is below that of fraction 0 up to here
EARLY = 0.5
MIXED = 0.4  # fractions up to here are judged
# Distilled networks, the paper's Tables 10 and 11: judged by four steps, the first of them.
MOST_DISTILLED, JUDGED_STEPS, QUARTER = 8, 4, 0.25
LARGEST_SHARE = 1 / 3  # of the way from all large to all small
SAID = ("clip_score", "subject_retrieval", "style_retrieval")


def c12(data: FigureData) -> Answer:
    row = rows(data.results)[0]
    changes = rises(row, 0, BETTER_TO)
    course = fid_course(changes, row[0])
    better = [f for f, change in changes.items() if change.high < 0]
    worse = [f for f, change in changes.items() if change.low > 0]
    # Better at one of the fractions and worse at none; no better at any is no better.
    answer = False if worse else True if better else None
    return answer, (
        f"FID(0) {text(row[0].estimate())}: {listed(changes)}; below FID(0) at "
        f"{_some(better)}, above at {_some(worse)}; not to rise: {course.note}{_alignment(data)}"
    )


def c24(*figures: FigureData) -> Answer:
    answers, parts, seen = [], [], set[str]()
    for row in (row for data in figures for row in rows(data.results)):
        name, steps = row[0].point.experiment.name, row[0].point.steps
        is_distilled = steps <= MOST_DISTILLED
        mixed = rises(row, 0, MIXED)
        if name in seen or not mixed or (is_distilled and steps != JUDGED_STEPS):
            continue  # the pair without either is in several figures, in one by its ends alone
        seen.add(name)
        answer, note = _first_quarter(row) if is_distilled else _course(row, mixed)
        answers.append(answer)
        changes = rises(row, 0, 1) if is_distilled else mixed
        parts.append(f"{name}: FID(0) {text(row[0].estimate())}; {listed(changes)}; {note}")
    if not answers:
        raise Untestable("no pair has mixes that it judges")
    return all_of(answers), ". ".join(parts)


def _course(row: Sequence[Result], changes: dict[float, Interval]) -> Answer:
    course = fid_course(changes, row[0])
    return course.answer, course.note


def _first_quarter(row: Sequence[Result]) -> Answer:
    """Of few steps FID rises with each: a quarter of them costs 15 % of the way in Table 11."""
    large, quarter, small = (
        next(r.metrics["fid"] for r in row if r.point.fraction == f) for f in (0, QUARTER, 1)
    )
    span = small.minus(large)
    if span.low <= 0:
        return None, f"small minus large {text(span, '+')}: not told to be worse, so no way to it"
    excess = interval(
        _beyond(large.value, quarter.value, small.value),
        list(map(_beyond, large.replicates, quarter.replicates, small.replicates)),
    )
    note = f"at {QUARTER:g} minus a third of the way {text(excess, '+')}"
    return (True if excess.high < 0 else False if excess.low > 0 else None), note


def _beyond(large: float, quarter: float, small: float) -> float:
    """By how much a rise is more than the largest share of the way."""
    return quarter - large - LARGEST_SHARE * (small - large)


def c25(data: FigureData) -> Answer:
    row = rows(data.results)[0]
    need(row[0], *SAID[:1])
    changes = rises(row, 0, EARLY, SAID[0])
    better = [f for f, change in changes.items() if change.low > 0]
    worse = [f for f, change in changes.items() if change.high < 0]
    answer = True if better else False if worse else None
    ends = f"CLIP score {text(row[0].estimate(SAID[0]))} at 0, {text(row[-1].estimate(SAID[0]))} at"
    return answer, (
        f"{ends} {row[-1].point.fraction:g}; to 0: {listed(changes)}; above at {_some(better)}, "
        f"below at {_some(worse)}{_alignment(data, SAID[1:])}"
    )


def _alignment(data: FigureData, metrics: tuple[str, ...] = SAID) -> str:
    """What else is known of the images and their prompts, at 0 and to it."""
    row, parts = rows(data.results)[0], []
    for metric in metrics:
        if metric in row[0].metrics:
            name = row[0].metrics[metric].name
            changes = rises(row, 0, EARLY, metric)
            parts.append(f"{name} {text(row[0].estimate(metric))} at 0; {listed(changes)}")
    return "".join(f". {part}" for part in parts)


def _some(fractions: list[float]) -> str:
    return ", ".join(f"{f:g}" for f in fractions) or "none"


TEXT_TESTS: dict[str, Callable[..., Answer]] = {"C12": c12, "C24": c24, "C25": c25}
