"""What the paired intervals say of a series: which fractions are as good as the large model."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.points import LOSS, Point, has_fractions
from evaluation.tables import NOTHING, all_large_of, fid_difference, interval, speed_up


@dataclass(frozen=True)
class Verdict:
    """FID of a series against its all-large run, by the paired intervals."""

    large: Point | None  # the all-large run
    compared: list[Point]  # runs with a paired difference, from expensive to cheap
    equal: Point | None  # the largest fraction (cheapest run) that is not significantly worse
    better: list[Point]  # significantly better runs
    worse_before: list[Point]  # significantly worse ones that cost more than `equal`
    flags: tuple[str, ...] = ()  # of any FID; nothing is compared then


def judge(members: Sequence[Point]) -> Verdict:
    """Compares the runs of one series with its all-large run."""
    flags = tuple(dict.fromkeys(flag for p in members for flag in p.metrics[LOSS].flags))
    compared = [p for p in members if LOSS in p.differences and not flags]
    if has_fractions(members):
        compared.sort(key=lambda p: p.fraction)
    else:
        compared.sort(key=lambda p: -p.gmacs_per_image)
    equal = [i for i, p in enumerate(compared) if p.differences[LOSS].low <= 0]
    before = compared[: equal[-1]] if equal else []
    return Verdict(
        large=all_large_of(members),
        compared=compared,
        equal=compared[equal[-1]] if equal else None,
        better=[p for p in compared if p.differences[LOSS].high < 0],
        worse_before=[p for p in before if p.differences[LOSS].low > 0],
        flags=flags,
    )


def verdict_text(verdict: Verdict) -> str:
    """The verdict on one series in sentences."""
    large, equal = verdict.large, verdict.equal
    if verdict.flags:
        return f"No finding: the FID is flagged ({', '.join(verdict.flags)}), it means little."
    if large is None or not verdict.compared:
        return "There is no pair of a stitched and an all-large run to compare."
    runs = [large, *verdict.compared]
    word, most = ("fraction", "largest") if has_fractions(runs) else ("run", "cheapest")
    metric = large.metrics[LOSS]
    text = f"All large: {metric.name} {interval(metric.value, metric.low, metric.high)}. "
    if equal is None:
        text += f"Every other {word} has a significantly worse FID. "
    else:
        ratio = equal.gmacs_per_image / large.gmacs_per_image
        faster = speed_up(equal, large)
        cost = f"{faster} speed-up, " if faster != NOTHING else ""
        text += (
            f"The {most} {word} whose FID is not significantly worse is {equal.short} (difference "
            f"{fid_difference(equal)}; {cost}{ratio:.0%} of the GMACs). "
        )
    if verdict.worse_before:
        listed = ", ".join(p.short for p in verdict.worse_before)
        text += f"Before it, significantly worse: {listed}. "
    better = ", ".join(p.short for p in verdict.better)
    return text + (
        f"Significantly better: {better}." if better else f"No {word} is significantly better."
    )
