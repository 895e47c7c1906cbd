"""An evaluation as a Markdown table."""

from evaluation.metrics.measured import Difference, Measured
from evaluation.report.table import Table, table_lines
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.flagging import flag_lines, marks

DIGITS = 5


def render_table(result: Evaluation, floor: Evaluation | None = None) -> str:
    """One row per metric: value, 95 % interval, and paired difference where there is one.

    Below it, how close the images are to a baseline's, and how much of its diversity they have.

    Args:
        result: its `differences` and `paired` are those to a baseline.
        floor: the evaluation of real images.
    """
    differences = result.differences or {}
    header = ["metric", "value", "95 % interval"]
    if differences:
        header += ["difference to the baseline", "95 % interval, paired"]
    if floor:
        header.append(f"real images ({floor.num_images})")
    rows = []
    for metric, entry in result.metrics.items():
        row = [entry.name, number(entry.value) + marks(entry), span(entry)]
        if differences:
            change = differences.get(metric)  # the baseline may have no labels
            row += [f"{change.difference:+.{DIGITS}g}", span(change)] if change else ["", ""]
        if floor:
            real = floor.metrics.get(metric)
            row.append(number(real.value) if real else "")
        rows.append(row)
    measured = Table(header, rows)
    paired = [[m.name, number(m.value), span(m)] for m in (result.paired or {}).values()]
    header = ["image by image, with the baseline", "value", "95 % interval"]
    reference = result.protocol.reference
    count = f", {reference.num_images} images" if reference.num_images else ""
    lines = [
        *table_lines(measured),
        "",
        *([*table_lines(Table(header, paired)), ""] if paired else []),
        f"{result.num_images} images against {reference.label}{count} "
        f"({reference.digest[:8]}). Intervals: delete-a-group jackknife, {result.groups} "
        "groups of image indices.",
        *(f"\nFlagged: {line}" for line in flag_lines(result)),
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    """Five significant digits."""
    return f"{value:.{DIGITS}g}"


def span(entry: Measured | Difference) -> str:
    """`low to high`."""
    return f"{number(entry.low)} to {number(entry.high)}"
