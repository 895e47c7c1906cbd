"""Whether small-first holds: verdicts on stitching orders of equal cost, by paired intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.metrics.jackknife import Interval
from evaluation.report.verdict import LEAST_IMAGES
from tstitch.paper.kinds.orders_rows import Order, Row
from tstitch.paper.report.answers import text
from tstitch.paper.report.claims import FAILS, HOLDS, UNRESOLVED, UNTESTED
from tstitch.paper.report.margins import FID_SCATTER, MANY_IMAGES, images_needed

DIVERSITY_MARGIN = 0.01  # of the diversity of all large
RULE = (
    "Small first **holds** in quality if FID(first) - FID(order) has a paired 95 % interval that "
    f"ends below {FID_SCATTER:.1%} of FID(all large) (the paper's own scatter) for every order of "
    "another schedule, and **does not hold** if one such interval lies wholly above that margin; "
    f"else it is not resolved. Of fewer than {LEAST_IMAGES} images nothing is said. In diversity "
    f"it holds if no order keeps more than {DIVERSITY_MARGIN:g} more of the diversity of all "
    "large, by the same rule; an order that is more diverse than all large counts as all large "
    "itself. Intervals are of images, for one set of trained models, and not corrected for the "
    "number of orders."
)
DEFINITIONS = (
    "Diversity retention: the mean distance of two images of one class in the features of the "
    "evaluation, divided by that of all large, under the same noise and labels. RMS and feature "
    "distance: of each image to the one of all large of the same index, means over images; PSNR: "
    "of the squared error of all images together."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What intervals against a margin say; None = not resolved."""

    answer: bool | None
    note: str


def against_margin(changes: Mapping[str, Interval], limit: float, images: int) -> Verdict:
    """Whether no change lies above a limit: True = all below, False = one wholly above it.

    Args:
        changes: paired differences by label.
        limit: above 0.
        images: that they were measured with.
    """
    above = [label for label, change in changes.items() if change.low > limit]
    unclear = {k: c for k, c in changes.items() if c.low <= limit <= c.high}
    if above:
        return Verdict(False, f"margin {limit:.2g} exceeded by {', '.join(above)}")
    if not unclear:
        return Verdict(True, f"margin {limit:.2g}")
    needed = max(images_needed(change, limit, images) for change in unclear.values())
    count = f"about {needed:,}" if needed < MANY_IMAGES else "more than a million"
    note = f"margin {limit:.2g}, not told from {', '.join(unclear)}: {count} images would"
    return Verdict(None, note)


def judge_quality(row: Row) -> Verdict:
    """FID of first against every other order."""
    base = row.large.result.value()
    changes = {o.label: row.first.result.minus(o.result) for o in row.others}
    found = against_margin(changes, FID_SCATTER * base, row.first.images)
    best = min(row.others, key=lambda order: order.result.value())
    return Verdict(
        found.answer,
        f"FID {text(row.first.result.estimate())}, {text(row.rise(row.first), '+')} to all large; "
        f"{text(changes[best.label], '+')} to the best other order, {best.label}; {found.note}",
    )


def judge_diversity(row: Row) -> Verdict | None:
    """Retention of every other order against that of first; None if it was not measured."""
    if not all("diversity" in order.paired for order in row.orders):
        return None
    changes = {o.label: _kept_more(o, row.first) for o in row.others}
    found = against_margin(changes, DIVERSITY_MARGIN, row.first.images)
    own = row.first.paired["diversity"]
    best = max(row.others, key=lambda order: changes[order.label].value)
    other = best.paired["diversity"]
    return Verdict(
        found.answer,
        f"first keeps {text(own.interval)} of the diversity of all "
        f"large; most of the others {best.label}, "
        f"{text(other.interval)}; {found.note}",
    )


def _kept_more(order: Order, first: Order) -> Interval:
    """How much more of the diversity an order keeps than first, which cannot be more than all."""
    own, kept = order.paired["diversity"], first.paired["diversity"]
    if own.value <= 1:
        return own.minus(kept)
    return Interval(1 - kept.value, 1 - kept.high, 1 - kept.low)


def closest(row: Row) -> str:
    """Which order is nearest to all large, and the place of first."""
    ordered = sorted(row.orders, key=lambda order: order.paired["rms"].value)
    shown = {order.label: text(order.paired["rms"].interval) for order in ordered}
    nearest, first = ordered[0], row.first
    place = f"{ordered.index(first) + 1} of {len(ordered)}, {shown[first.label]}"
    return f"{nearest.label}, RMS {shown[nearest.label]} of 255; first is {place}"


def verdict_items(row: Row) -> list[str]:
    """Items of a Markdown list: quality, diversity, closeness of one pair and protocol."""
    twins = f"; {', '.join(row.twins)}: the same schedule" if row.twins else ""
    where, items = f"({row.title}; {row.cost}{twins})", list[str]()
    if not row.others:
        return [f"- **small first: {UNTESTED}** {where}: no order has another schedule."]
    for name, found in (("quality", judge_quality(row)), ("diversity", judge_diversity(row))):
        if found is None:
            status, note = UNTESTED, "labels without two images of one class in most groups"
        elif row.first.images < LEAST_IMAGES:
            status, note = UNTESTED, f"fewer than {LEAST_IMAGES} images; {found.note}"
        else:
            status = {True: HOLDS, False: FAILS, None: UNRESOLVED}[found.answer]
            note = found.note
        items.append(f"- **small first, {name}: {status}** {where}: {note}.")
    return [*items, f"- **closest to all large** {where}: {closest(row)}."]
