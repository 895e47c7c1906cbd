"""Tables and pictures of stitching orders."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evaluation.metrics.measured import Measured
from evaluation.paired.catalogue import PAIRED
from evaluation.report.strips import Column, Strip, draw_strips
from evaluation.report.table import Table, table_lines
from tstitch.paper.kinds.orders_plan import FIRST, same_schedules
from tstitch.paper.kinds.orders_rows import Order, Row
from tstitch.paper.kinds.orders_verdicts import DEFINITIONS, RULE
from tstitch.paper.report.answers import letters, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

DRAWN = ("diversity", "rms")  # beside FID


def order_lines(rows: Sequence[Row]) -> list[str]:
    """Markdown: the rules, then a table per pair and protocol."""
    lines = ["## Orders", "", RULE, "", DEFINITIONS, ""]
    for row in rows:
        lines += [f"## {row.title}, {row.cost}", "", *table_lines(_table(row)), ""]
        for labels in same_schedules([order.result.point for order in row.orders]):
            lines += [f"One schedule, and one run: {', '.join(labels)}.", ""]
    return lines


def _table(row: Row) -> Table:
    metric = row.large.result.metrics["fid"].name
    names = _paired_names(row)
    header = ["order", "steps (s small, L large)", metric, "to all large", "to first"]
    header += names.values()
    cells = []
    for order in row.every:
        cell = [order.label, letters(order.models)]
        cell.append(text(order.result.estimate()))
        cell.append("-" if order is row.large else text(row.rise(order), "+"))
        to_first = order.result.minus(row.first.result)
        cell.append("-" if order is row.first else text(to_first, "+"))
        cell += [_shown(order.paired.get(key)) for key in names]
        cells.append(cell)
    return Table(header, cells)


def _paired_names(row: Row) -> dict[str, str]:
    """Names of what was compared with all large, by key."""
    known: Mapping[str, str] = {
        key: m.name for order in row.every for key, m in order.paired.items()
    }
    return {metric.key: known[metric.key] for metric in PAIRED if metric.key in known}


def _shown(entry: Measured | None) -> str:
    return "-" if entry is None else text(entry.interval)


def draw_orders(row: Row) -> "Picture":
    """Schedules beside what came of them, best FID first between the two anchors."""
    names = _paired_names(row)
    ordered = sorted(row.orders, key=lambda order: order.result.value())
    metric = row.large.result.metrics["fid"].name
    columns = [Column(f"{metric},\nminus all large", 0.0)]
    columns += [
        Column(names[key].replace(" (", "\n("), 1.0 if key == "diversity" else 0.0)
        for key in DRAWN
        if key in names
    ]
    keys = [key for key in DRAWN if key in names]
    strips = [_strip(row, order, keys) for order in (row.large, *ordered, row.small)]
    return draw_strips(f"{row.title}; {row.cost}", strips, columns, ("small", "large"))


def _strip(row: Row, order: Order, keys: Sequence[str]) -> Strip:
    values = [row.rise(order), *(order.paired[key].interval for key in keys)]
    anchor = order in (row.large, row.small)
    return Strip(order.label, order.models, values, beside=anchor, strong=order.label == FIRST)
