"""report.md of a sweep."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.report.points import Floor, Point, by_series, metric_names
from evaluation.report.speed import comparable_times
from evaluation.report.table import plain, table_lines
from evaluation.report.tables import (
    FLOOR,
    FRONTS,
    INTERVALS,
    cost_table,
    floor_row,
    protocol_lines,
    result_table,
    warnings,
)
from evaluation.report.verdict import judge, verdict_text


def render_markdown(
    points: Sequence[Point],
    floor: Floor | None,
    protocol: Mapping[str, Any],
    *,
    title: str,
    pictures: Sequence[tuple[str, str]] = (),
) -> str:
    """report.md of a sweep.

    Args:
        points: runs of all series.
        floor: metrics of real test images, if measured.
        protocol: nested plain JSON: evaluation, versions, machine.
        title: of the document.
        pictures: (caption, path relative to the report) each.

    Raises:
        ValueError: no points, or metrics of different feature spaces.
    """
    names, series = metric_names(points, floor), by_series(points)
    points, notes = comparable_times(points)
    lines = [f"# {plain(title)}", ""]
    for name, members in series.items():
        text = verdict_text(judge([points[i] for i in members]))
        lines.append(f"- **{plain(name)}**: {plain(text)}")
    lines += [f"- **Note**: {plain(text)}" for text in [*notes, *warnings(points, floor)]]
    for caption, path in pictures:
        lines += ["", f"![{plain(caption)}]({path})"]
    for name in series:
        table = result_table(points, name, names)
        table.rows.extend([floor_row(floor, names)] if floor else [])
        lines += ["", f"## {plain(name)}", "", *table_lines(table)]
        lines += ["", "Time and arithmetic of each denoiser, per image:", ""]
        lines += table_lines(cost_table(points, name))
    lines += ["", "## Reading the tables", "", f"- {INTERVALS}", f"- {FRONTS}"]
    if floor:
        lines.append(f"- {FLOOR.format(floor.num_images)}")
    lines += ["", "## Protocol", ""]
    for head, entries in protocol_lines(points, protocol):
        body = "; ".join(f"{key} {text}".strip() for key, text in entries)
        lines.append(f"- {plain(head)}: {plain(body)}")
    lines += ["", "## Runs", ""]
    lines += [
        f"- {plain(points[i].series)}, {plain(points[i].label)}: {_code(points[i].run_dir)}"
        for members in series.values()
        for i in members
    ]
    return "\n".join([*lines, ""])


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', '').split())}`"
