"""What the paired intervals say of a series: which fractions are as good as the large model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluation.report.points import LOSS, Point, all_large_of, has_fractions
from evaluation.report.speed import arithmetic_ratio, speed_range
from evaluation.report.tables import NOTHING, fid_difference, interval, speed_up

RESOLVED = 0.05  # of FID: what half of a paired interval must not exceed to carry a finding
LEAST_IMAGES = 200  # with fewer FID is mostly their bias, of which no interval is a telling part


@dataclass(frozen=True)
class Verdict:
    """FID of a series against its all-large run, by the paired intervals.

    Findings are of runs that are resolved: at least 200 images, and half of the interval is at
    most 5 % of the all-large run's FID; of their own, where the whole interval lies above 0.
    """

    large: Point | None  # the all-large run
    compared: list[Point]  # runs with a paired difference, from expensive to cheap
    equal: Point | None  # the largest fraction (cheapest run) that is not significantly worse
    better: list[Point]  # significantly better runs
    worse_before: list[Point]  # significantly worse ones that cost more than `equal`
    flags: tuple[str, ...] = ()  # of any FID; nothing is compared then
    unresolved: list[Point] = field(default_factory=list)  # of which nothing can be said


def judge(members: Sequence[Point]) -> Verdict:
    """Compares the runs of one series with its all-large run."""
    flags = tuple(dict.fromkeys(flag for p in members for flag in p.metrics[LOSS].flags))
    compared = [p for p in members if LOSS in p.differences and not flags]
    large = all_large_of(members)
    if has_fractions(members):
        compared.sort(key=lambda p: p.fraction or 0.0)
    else:
        compared.sort(key=lambda p: -p.gmacs_per_image)
    unresolved = [p for p in compared if large is None or not _is_resolved(p, large)]
    resolved = [p for p in compared if p not in unresolved]
    equal = [i for i, p in enumerate(resolved) if p.differences[LOSS].low <= 0]
    before = resolved[: equal[-1]] if equal else []
    return Verdict(
        large=large,
        compared=compared,
        equal=resolved[equal[-1]] if equal else None,
        better=[p for p in resolved if p.differences[LOSS].high < 0],
        worse_before=[p for p in before if p.differences[LOSS].low > 0],
        flags=flags,
        unresolved=unresolved,
    )


def verdict_text(verdict: Verdict) -> str:
    """The verdict on one series in sentences."""
    if verdict.flags:
        return f"No finding: the FID is flagged ({', '.join(verdict.flags)}), it means little."
    large = verdict.large
    if large is None or not verdict.compared:
        return "There is no pair of a stitched and an all-large run to compare."
    word = "fraction" if has_fractions([large, *verdict.compared]) else "run"
    metric = large.metrics[LOSS]
    text = f"All large: {metric.name} {interval(metric.value, metric.low, metric.high)}. "
    if len(verdict.unresolved) == len(verdict.compared):
        return f"{text}No finding. {resolution_text(verdict.unresolved, large)}"
    text += _findings(verdict, large, word)
    resolution = resolution_text(verdict.unresolved, large) if verdict.unresolved else ""
    return f"{text} {resolution}".rstrip()


def resolution_text(runs: Sequence[Point], large: Point) -> str:
    """What the images of unresolved runs, at least one, can tell, and how many would do.

    Half of an interval falls like 1/sqrt(N).
    """
    widest = max(runs, key=lambda p: _share(p, large))
    count, share = widest.num_images, _share(widest, large)
    if math.isinf(share):
        return (
            f"Not resolved: {', '.join(p.short for p in runs)}; the all-large FID is not above 0."
        )
    few = f" and at least {LEAST_IMAGES} images" if count < LEAST_IMAGES else ""
    return (
        f"Not resolved: {', '.join(p.short for p in runs)}. With {count:,} images a difference "
        f"below {_half(widest):.2g}, which is {share:.0%} of the FID, cannot be told from none; a "
        f"finding asks for {RESOLVED:.0%}{few}: about {_images_for(count, share):,} images."
    )


def headline_speed(verdict: Verdict) -> str:
    """The speed-up of the finding, `1.48x (1.45 to 1.52)` over rounds; `-` if there is none."""
    large, equal = verdict.large, verdict.equal
    if large is None or equal is None:
        return NOTHING
    text = speed_up(equal, large)
    spread = speed_range(equal, large)
    if text == NOTHING or spread is None:
        return text
    return f"{text} ({spread[0]:.2f} to {spread[1]:.2f})"


def _findings(verdict: Verdict, large: Point, word: str) -> str:
    equal = verdict.equal
    other = "resolved" if verdict.unresolved else "other"
    most = "largest" if word == "fraction" else "cheapest"
    if equal is None:
        text = f"Every {other} {word} has a significantly worse FID. "
    else:
        ratio = equal.gmacs_per_image / large.gmacs_per_image
        text = (
            f"The {most} {word} whose FID is not significantly worse is {equal.short} (difference "
            f"{fid_difference(equal)}; {_speed(verdict, equal, large)}{ratio:.0%} of the GMACs). "
        )
    if verdict.worse_before:
        listed = ", ".join(p.short for p in verdict.worse_before)
        text += f"Before it, significantly worse: {listed}. "
    better = ", ".join(p.short for p in verdict.better)
    if better:
        return text + f"Significantly better: {better}."
    return text + f"No {'resolved ' * bool(verdict.unresolved)}{word} is significantly better."


def _speed(verdict: Verdict, equal: Point, large: Point) -> str:
    text = headline_speed(verdict)
    if text == NOTHING:
        return ""
    limit, value = arithmetic_ratio(equal, large), float(text.partition("x")[0])
    above = f", within the error of the {limit:.2f}x that the arithmetic allows"
    return f"{text} speed-up{above * (value > limit)}, "


def _half(point: Point) -> float:
    paired = point.differences[LOSS]
    return (paired.high - paired.low) / 2


def _share(point: Point, large: Point) -> float:
    """Half of the paired interval as a part of FID."""
    paired, fid = point.differences[LOSS], large.metrics[LOSS].value
    if paired.low > 0:
        fid = max(fid, point.metrics[LOSS].value)
    if fid > 0:
        return _half(point) / fid
    return math.inf if _half(point) else 0.0


def _is_resolved(point: Point, large: Point) -> bool:
    enough = min(point.num_images, large.num_images) >= LEAST_IMAGES
    return enough and _share(point, large) <= RESOLVED * (1 + 1e-9)


def _images_for(count: int, share: float) -> int:
    """Images that make the share small enough, to two digits, upward."""
    needed = max(LEAST_IMAGES, count * (share / RESOLVED) ** 2)
    unit = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / unit) * unit
