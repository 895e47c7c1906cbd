"""Tests of the claims about students with one encoder and several decoders (TiUE)."""

from collections.abc import Callable

from evaluation.metrics.jackknife import Interval
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.kinds.arms_rows import Arm, arms_of, difference, seeds_in_common
from tstitch.paper.report.answers import Untestable, text
from tstitch.paper.report.margins import FID_SCATTER

FEWEST_SEEDS = 3
DIVERSE = ("recall", "coverage", "diversity")
AS_FAST = 1.5  # of one decoder's latency, that several in one batch may take
NAMES = {"fid": "FID"}


def t1(data: FigureData) -> Answer:
    course = data.measured.course
    if course is None:
        raise Untestable("features were not looked at; the figure has no `features`")
    gap, (encoder, decoder) = course.gap(), course.means()
    answer = True if gap.low > 0 else False if gap.high < 0 else None
    return answer, (
        f"cosine of neighbouring steps, encoder {encoder:.3f}, decoder {decoder:.3f}, difference "
        f"{text(gap, '+')}"
    )


def t2(data: FigureData) -> Answer:
    arms = arms_of(data)
    one, other = _arm(arms, "U"), _arm(arms, "O999")
    changes = _changes(one, other, ("fid", "recall", "coverage"))
    fid = changes["fid"]
    more = [c for key, c in changes.items() if key != "fid"]
    worse = fid.low > 0 or any(change.high < 0 for change in more)
    better = fid.high < 0 and any(change.low > 0 for change in more)
    answer = False if worse else True if better else None
    return _seeded(answer, one, other), f"U minus O999, {_listed(changes)}{_count(one, other)}"


def t3(data: FigureData) -> Answer:
    arms = arms_of(data)
    one, other = _arm(arms, "U"), _arm(arms, "O751")
    changes = _changes(one, other, ("fid", *DIVERSE))
    fid = changes["fid"]
    answer = True if fid.high < 0 else False if fid.low > 0 else None
    return _seeded(answer, one, other), f"U minus O751, {_listed(changes)}{_count(one, other)}"


def t4(data: FigureData) -> Answer:
    arms = arms_of(data)
    one, other = _arm(arms, "U-kl"), _arm(arms, "U")
    changes = _changes(one, other, ("fid", *DIVERSE))
    base = other.mean("fid")
    assert base is not None  # changes has it
    limit, fid = FID_SCATTER * base.value, changes["fid"]
    more = [change for key, change in changes.items() if key != "fid"]
    if not more:
        raise Untestable("no measure of diversity; the reference needs images, prompts several")
    lost = fid.low > limit or all(change.high < 0 for change in more)
    kept = fid.high < limit and any(change.low > 0 for change in more)
    answer = False if lost else True if kept else None
    return _seeded(answer, one, other), (
        f"U-kl minus U, {_listed(changes)}; margin of FID {limit:+.3g}{_count(one, other)}"
    )


def t5(data: FigureData) -> Answer:
    arms, times = arms_of(data), data.measured.times
    if times is None:
        raise Untestable("time was not measured; the figure has no `timing`")
    student, ceiling, single = (_arm(arms, name) for name in ("U", "M4", "O751"))
    change = _changes(student, ceiling, ("fid",))["fid"]
    base = ceiling.mean("fid")
    assert base is not None  # changes has it
    limit = FID_SCATTER * base.value
    latency = {arm.name: times.latency[arm.name] for arm in (student, ceiling, single)}
    to_single = latency["U"][0] / latency["O751"][0]
    # The whole range of rounds on the wrong side of the limit.
    slow = latency["U"][1] / latency["O751"][2] > AS_FAST
    cheaper = latency["U"][0] < latency["M4"][0]
    near = True if change.high < limit else False if change.low > limit else None
    answer = _seeded(near, student, ceiling)
    if slow:
        answer = False
    elif answer and not (to_single <= AS_FAST and cheaper):
        answer = None
    shown = ", ".join(f"{name} {1e3 * s[0]:.3g} ms" for name, s in latency.items())
    return answer, (
        f"FID of U minus that of M4 {text(change, '+')}, margin {limit:+.3g}"
        f"{_count(student, ceiling)}; one image: {shown}, U takes {to_single:.2f} times O751's"
    )


def _arm(arms: dict[str, Arm], name: str) -> Arm:
    if name not in arms:
        raise Untestable(f"the figure has no arm {name}")
    return arms[name]


def _changes(one: Arm, other: Arm, metrics: tuple[str, ...]) -> dict[str, Interval]:
    """Differences of the metrics that were measured of both; FID must be."""
    found = {key: difference(one, other, key) for key in metrics}
    known = {key: change for key, change in found.items() if change is not None}
    if "fid" not in known:
        raise Untestable("FID was not measured, or no seed is that of both")
    return known


def _seeded(answer: bool | None, one: Arm, other: Arm) -> bool | None:
    """An answer that other trainings would not turn, as far as the seeds tell."""
    return answer if seeds_in_common(one, other) >= FEWEST_SEEDS else None


def _count(one: Arm, other: Arm) -> str:
    count = seeds_in_common(one, other)
    few = "" if count >= FEWEST_SEEDS else ", too few to tell trainings apart"
    return f"; {count} seed{'s' * (count > 1)}{few}"


def _listed(changes: dict[str, Interval]) -> str:
    return ", ".join(f"{NAMES.get(k, k)} {text(c, '+')}" for k, c in changes.items())


ARM_TESTS: dict[str, Callable[..., Answer]] = {"T1": t1, "T2": t2, "T3": t3, "T4": t4, "T5": t5}
