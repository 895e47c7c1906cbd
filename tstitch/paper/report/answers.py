"""What the tests of claims are made of: rows of points, their paired differences, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.metrics.jackknife import Interval
from evaluation.report.tables import interval as shown
from tstitch.paper.figure.measure import Result
from tstitch.paper.report.margins import FID_SCATTER, Course, judge_course


class Untestable(Exception):
    """What was measured cannot answer; the message says why."""


def need(result: Result, *metrics: str) -> None:
    """Refuses to judge what was not measured."""
    for metric in metrics:
        if metric not in result.metrics:
            raise Untestable(f"{metric} was not measured; the reference needs images")


def text(value: Interval, sign: str = "") -> str:
    """`1.23 [1.20, 1.26]`."""
    return shown(value.value, value.low, value.high, sign)


def letters(models: Iterable[int]) -> str:
    """`sLLs`: a letter for each step of a small and a large model."""
    return "".join("sL"[model] for model in models)


def rows(results: Iterable[Result]) -> list[list[Result]]:
    """Points that are compared with one another, each row by fraction."""
    found: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        found.setdefault((*result.point.row, result.point.variant), []).append(result)
    return [sorted(row, key=lambda r: r.point.fraction) for row in found.values()]


def rises(
    row: Sequence[Result], low: float, high: float, metric: str = "fid"
) -> dict[float, Interval]:
    """Paired differences to the row's first point, of fractions in (low, high]."""
    return {
        r.point.fraction: r.minus(row[0], metric)
        for r in row[1:]
        if low < r.point.fraction <= high + 1e-9
    }


def listed(changes: Mapping[float, Interval]) -> str:
    """`0.1: -0.01 [-0.02, 0.00]; ...`."""
    return "; ".join(f"{f:g}: {text(change, '+')}" for f, change in changes.items())


def fid_course(changes: Mapping[float, Interval], base: Result) -> Course:
    """Whether FID does not rise above a base, by the paper's own scatter."""
    return judge_course(changes, FID_SCATTER * base.value(), base.value(), base.point.images)


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """False if one is false, else None if one is not resolved."""
    found = list(answers)
    return False if False in found else None if None in found else True
