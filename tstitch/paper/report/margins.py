"""Whether a metric stays where it was: paired intervals against a margin, in three answers.

A test that only asks whether 0 lies inside the interval is passed by few images and failed by
many. Here a rise is told from none by a margin that does not depend on the number of images.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.metrics.jackknife import Interval

# The paper's own scatter of FID up to fraction 0.4: 0.3 of 9.20 (Figures 1 and 5 differ by it).
FID_SCATTER = 0.033
# One unit of the last digit that Table 9 prints of precision and recall.
TABLE_DIGIT = 0.01
COARSE = 0.1  # of the base: a wider interval passes no test of significance
MANY_IMAGES = 1_000_000


@dataclass(frozen=True, slots=True)
class Course:
    """What differences to a base say: True = none rises, False = one does, None = unresolved."""

    answer: bool | None
    note: str


def judge_course(
    changes: Mapping[float, Interval], limit: float, base: float, images: int
) -> Course:
    """Judges differences by where their intervals lie: all below the limit, or one above it.

    Args:
        changes: paired differences by fraction.
        limit: largest difference that counts as none, above 0.
        base: the value that the differences are to.
        images: that they were measured with.
    """
    risen = [f for f, change in changes.items() if change.low > limit]
    unclear = {f: change for f, change in changes.items() if change.low <= limit <= change.high}
    note = f"margin {limit:+.3g}"
    if risen:
        note += f", exceeded at {', '.join(f'{f:g}' for f in risen)}"
    elif unclear:
        needed = max(images_needed(change, limit, images) for change in unclear.values())
        count = f"{needed:,}" if needed < MANY_IMAGES else "more than a million"
        note += f", not resolved at {', '.join(f'{f:g}' for f in unclear)}: about {count} images do"
    note += f"; by significance alone: {_by_significance(changes, base)}"
    return Course(False if risen else None if unclear else True, note)


def images_needed(change: Interval, limit: float, images: int) -> int:
    """How many images would tell a difference from the limit, if it stays as it is.

    Intervals shrink with the root of the number of images; rounded up to two digits.
    """
    distance, half = abs(change.value - limit), (change.high - change.low) / 2
    if distance * math.sqrt(MANY_IMAGES / images) < half:
        return MANY_IMAGES
    exact = images * (half / distance) ** 2
    digit = 10 ** max(0, math.floor(math.log10(exact)) - 1)
    return math.ceil(exact / digit) * digit


def fallen(changes: Mapping[float, Interval]) -> dict[float, Interval]:
    """Differences of a metric of which more is better, as losses."""
    return {f: Interval(-c.value, -c.high, -c.low) for f, c in changes.items()}


def _by_significance(changes: Mapping[float, Interval], base: float) -> str:
    """The weaker test: whether 0 is inside or above every interval."""
    if any(change.low > 0 for change in changes.values()):
        return "does not hold"
    reach = max((change.high - change.low) / 2 for change in changes.values())
    return "not tested (too wide)" if reach > COARSE * base else "holds"
