"""Small multiples: panels of lines with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evaluation.report.plots import GREY, MARKERS, colour, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Line:
    """Points of one kind; low and high are bounds of y, or empty."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    joined: bool = True
    published: bool = False  # of a paper: dashed, without markers
    like: str = ""  # name of the line whose colour it has; published ones without are grey


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line] = field(default_factory=list)
    log: bool = False
    log_x: bool = False


def draw_panels(panels: Sequence[Panel], columns: int = 3) -> "Figure":
    """All panels in rows; the same name has the same colour everywhere, and one legend entry.

    Raises:
        ValueError: no panels.
    """
    if not panels:
        raise ValueError("panels=[]: there is nothing to draw")
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    figure = new_figure(4.6 * columns if columns > 1 else 6.4, 3.6 * rows + 0.22 * len(names))
    handles: dict[str, object] = {}
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, number)
        for line in panel.lines:
            place = names.index(line.like or line.name)
            handles.setdefault(line.name, _draw(axes, line, place))
        if panel.log:
            axes.set_yscale("log")
        if panel.log_x:
            _spread_x(axes)
        axes.set_title(panel.title)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        style(axes)
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", fontsize=9,
        frameon=False, ncols=min(3, len(handles)),
    )  # fmt: skip
    return figure


def _spread_x(axes: "Axes") -> None:
    """A logarithmic axis that is labelled at 1, 2, 5, 10, .. in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw(axes: "Axes", line: Line, place: int) -> object:
    tone = GREY if line.published and not line.like else colour(place)
    path = "--" if line.published else "-" if line.joined else ""
    bounds = None
    if line.low:
        bounds = [
            [max(0.0, y - low) for y, low in zip(line.y, line.low, strict=True)],
            [max(0.0, high - y) for y, high in zip(line.y, line.high, strict=True)],
        ]
    return axes.errorbar(
        line.x, line.y, bounds, fmt="" if line.published else MARKERS[place % len(MARKERS)],
        linestyle=path or "none", color=tone, markersize=4, linewidth=1.3, elinewidth=0.9,
        capsize=2,
    )  # fmt: skip
