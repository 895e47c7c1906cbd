"""Figures of a sweep for a paper: metrics against fraction, Pareto fronts, a strip of images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.metrics.measured import Measured
from evaluation.report.pareto import FLOPS, TIME, cost_of, front_of
from evaluation.report.points import (
    LOSS,
    Floor,
    Point,
    by_series,
    has_fractions,
    metric_names,
    x_values,
)
from evaluation.report.speed import comparable_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Okabe and Ito's colours without yellow and black; markers differ too, for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
UP, DOWN = "\N{UPWARDS ARROW}", "\N{DOWNWARDS ARROW}"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"
DPI = 150
LOG_RATIO = 10.0  # values that spread further than this are drawn on a logarithmic axis
FLOOR_ROOM = 2.0  # times as long as of the runs alone an axis may be to show the floor
CROWDED = 40  # points of a series, from which on intervals are drawn faintly
FAINT = 0.3
LEADER = 26  # points; a label this far from its marker gets a line to it
LABEL_OFFSETS = [
    (round(radius * math.cos(angle)), round(radius * math.sin(angle)))
    for radius in (9, 16, LEADER, 40)
    for angle in (0.785, 2.356, 5.498, 3.927, 0.0, 3.142, 1.571, 4.712)
]


def colour(place: int) -> str:
    """Colour of the series with this place."""
    return COLOURS[place % len(COLOURS)]


def is_wide(metrics: Sequence[Measured]) -> bool:
    """True if a logarithmic axis is due: positive intervals over more than a decade."""
    low, high = min(m.low for m in metrics), max(m.high for m in metrics)
    return low > 0 and high / low > LOG_RATIO


def floor_fits(runs: Sequence[Measured], real: Measured) -> bool:
    """Whether the floor may be on the axis of the runs: not where it would flatten their curves."""
    wide = is_wide(runs)
    if wide and real.low <= 0:
        return False
    scale = math.log if wide else float
    low, high = scale(min(m.low for m in runs)), scale(max(m.high for m in runs))
    longer = max(high, scale(real.high)) - min(low, scale(real.low))
    return longer <= FLOOR_ROOM * (high - low)


def plot_metrics(points: Sequence[Point], floor: Floor | None = None) -> "Figure":
    """One panel per metric with 95 % intervals, the floor a dashed line.

    The horizontal axis is the fraction, or GMACs per image if a run has no single fraction.

    Raises:
        ValueError: no points, or metrics of different feature spaces.
    """
    names, series = metric_names(points, floor), by_series(points)
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(4.0 * columns, 3.3 * rows + 0.3 * len(series))
    for place, (key, name) in enumerate(names.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        _metric_panel(axes, points, key, floor.metrics.get(key) if floor else None)
        axes.set_title(name.replace(" (", "\n("))  # the feature space on a line of its own
        axes.set_xlabel(
            "fraction of the first denoiser" if has_fractions(points) else "GMACs / image"
        )
    _legend(figure, figure.axes[0])
    return figure


def plot_pareto(points: Sequence[Point], floor: Floor | None = None) -> "Figure":
    """FID against time and against FLOPs per image, the front a line, points with fractions.

    Runs without times that can be compared (`speed`) are in the panel of FLOPs only; if no run has
    them it is the only one.

    Raises:
        ValueError: no points, or metrics of different feature spaces.
    """
    names, series = metric_names(points, floor), by_series(points)
    points, notes = comparable_times(points)
    kinds = [k for k in (TIME, FLOPS) if any(cost_of(p, k) is not None for p in points)]
    figure = new_figure(6.0 * len(kinds), 4.6 + 0.25 * len(series))
    for place, kind in enumerate(kinds):
        axes = figure.add_subplot(1, len(kinds), place + 1)
        _pareto_panel(axes, points, kind, floor.metrics.get(LOSS) if floor else None)
        axes.set_ylabel(names[LOSS])
        if notes and kind == kinds[0]:
            axes.set_title("some or all times cannot be compared: see the report", fontsize=9)
    _legend(figure, figure.axes[-1])
    figure.draw_without_rendering()  # fixes the axes, on which the room for labels depends
    for axes, kind in zip(figure.axes, kinds, strict=True):
        _label_points(axes, points, kind)
    return figure


def write_figure(figure: "Figure", path: Path, kind: str) -> None:
    """Writes a png (150 dpi) or a pdf, whatever the name of the file."""
    import matplotlib

    dates = {"CreationDate": None} if kind == "pdf" else {}  # same points, same bytes
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(path, format=kind, dpi=DPI, metadata=dates)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # No pyplot: it would keep every figure, and choose a window system.
    figure = Figure((width, height), DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style(axes: "Axes") -> None:
    """The look that all plots share."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.title.set_size(11)
    axes.xaxis.label.set_size(10)
    axes.yaxis.label.set_size(10)


def _errorbars(
    axes: "Axes", x: list[float], metrics: list[Measured], name: str, place: int, line: str
) -> None:
    values = [m.value for m in metrics]
    bounds = [[m.value - m.low for m in metrics], [m.high - m.value for m in metrics]]
    axes.errorbar(
        x, values, bounds, fmt=MARKERS[place % len(MARKERS)], linestyle=line, color=colour(place),
        markersize=5, linewidth=1.4, elinewidth=1.0, capsize=2.5, label=name,
        ecolor=(colour(place), FAINT if len(values) > CROWDED else 1.0),
    )  # fmt: skip


def _metric_panel(axes: "Axes", points: Sequence[Point], key: str, real: Measured | None) -> None:
    every, shown = x_values(points), list[Measured]()
    line = "-" if has_fractions(points) else ""
    for place, (name, members) in enumerate(by_series(points).items()):
        have = [i for i in members if key in points[i].metrics]
        metrics = [points[i].metrics[key] for i in have]
        _errorbars(axes, [every[i] for i in have], metrics, name, place, line)
        shown += metrics
    style(axes)
    _value_axis(axes, shown, real)


def _value_axis(axes: "Axes", shown: list[Measured], real: Measured | None) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    if real and floor_fits(shown, real):
        axes.axhspan(real.low, real.high, color=GREY, alpha=0.15, linewidth=0)
        axes.axhline(real.value, color=GREY, linestyle="--", linewidth=1.2, label="real images")
    elif real:
        above = real.value > max(m.value for m in shown)
        axes.text(
            0.02, 0.97 if above else 0.03, f"real images: {real.value:.3g} {UP if above else DOWN}",
            va="top" if above else "bottom", transform=axes.transAxes, fontsize=8, color=GREY,
        )  # fmt: skip
    if is_wide(shown):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _pareto_panel(axes: "Axes", points: Sequence[Point], kind: str, real: Measured | None) -> None:
    shown = list[Measured]()
    front = [points[i] for i in front_of(points, kind)]
    x = [_cost(p, kind) for p in front]
    axes.plot(x, [p.metrics[LOSS].value for p in front], color=GREY, linewidth=1.4,
              zorder=1, label="Pareto front")  # fmt: skip
    for place, (name, members) in enumerate(by_series(points).items()):
        have = [points[i] for i in members if cost_of(points[i], kind) is not None]
        metrics = [p.metrics[LOSS] for p in have]
        _errorbars(axes, [_cost(p, kind) for p in have], metrics, name, place, "")
        shown += metrics
    style(axes)
    _value_axis(axes, shown, real)
    axes.set_xlabel("ms / image" if kind == TIME else "GFLOPs / image")


def _cost(point: Point, kind: str) -> float:
    """In the unit of the axis; the point has this cost."""
    return (cost_of(point, kind) or 0.0) * (1e3 if kind == TIME else 1e-9)


def _legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=10, frameon=False,
                  ncols=1 if max(map(len, labels)) > 30 else min(3, len(labels)))  # fmt: skip


def _label_points(axes: "Axes", points: Sequence[Point], kind: str) -> None:
    """Writes each point's fraction where there is room, points on the front first.

    A label never covers a marker, an interval, another label or its line; only on the front it
    may cross the front's line, or stand nearer to another marker.
    """
    front = front_of(points, kind)
    costly = [i for i, p in enumerate(points) if cost_of(p, kind) is not None]
    line = _along(axes, [points[i] for i in front], kind)
    taken = np.concatenate([_obstacles(axes, points[i], kind) for i in costly])
    centres = np.array([_place(axes, points[i], kind) for i in costly])
    places = {name: place for place, name in enumerate(by_series(points))}
    labels = np.empty((0, 4))
    for index in [*front, *(i for i in costly if i not in front)]:
        point = points[index]
        best: tuple[float, np.ndarray | None] = (math.inf, None)
        own = _place(axes, point, kind)
        text = axes.text(
            *axes.transData.inverted().transform(own), point.short, fontsize=9,
            color=colour(places[point.series]), weight="bold" if index in front else "normal",
        )  # fmt: skip
        size = text.get_window_extent(axes.figure.canvas.get_renderer()).size
        for offset in LABEL_OFFSETS:
            boxes = _boxes(own, size, offset)
            hard = _overlap(boxes[:1], taken) + _overlap(boxes, labels) + _outside(boxes[0], axes)
            near = len(boxes) == 1 and _mistaken(boxes[0], own, centres)
            cost = _overlap(boxes[:1], line) + near * float(np.prod(size))
            if hard == 0 and cost < best[0] and (cost == 0 or index in front):
                best = (cost, boxes)
        text.remove()
        if best[1] is not None:
            _write(axes, text, own, best[1])
            labels = np.concatenate([labels, best[1]])


def _boxes(own: np.ndarray, size: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
    """Boxes (N, 4) in pixels of a label at an offset in points, then along its line, if far."""
    side = np.sign(offset) * (np.abs(offset) > 2)
    middle = own + np.array(offset) * DPI / 72 + side * size / 2
    box = np.concatenate([middle - size / 2, middle + size / 2])
    dots = np.linspace(own, middle, 30 if math.hypot(*offset) > LEADER - 1 else 0)
    return np.concatenate([box[None], np.concatenate([dots - 1, dots + 1], axis=1)])


def _write(axes: "Axes", text: "Text", own: np.ndarray, boxes: np.ndarray) -> None:
    """Puts a label into its box, with a line to its marker if there are boxes of one."""
    line = {"arrowstyle": "-", "color": text.get_color(), "linewidth": 0.6, "shrinkA": 0}
    middle = (boxes[0, :2] + boxes[0, 2:]) / 2
    label = axes.annotate(
        text.get_text(), text.get_position(), (middle - own) * 72 / DPI, textcoords="offset points",
        fontsize=9, color=text.get_color(), weight=text.get_weight(), ha="center", va="center",
        arrowprops=line | {"shrinkB": 3} if len(boxes) > 1 else None,
    )  # fmt: skip
    label.set_in_layout(False)


def _place(axes: "Axes", point: Point, kind: str) -> np.ndarray:
    """Pixel (2,) of a point's marker."""
    return axes.transData.transform((_cost(point, kind), point.metrics[LOSS].value))


def _obstacles(axes: "Axes", point: Point, kind: str) -> np.ndarray:
    """Boxes (2, 4) in pixels of a point's marker and of its interval."""
    x, metric = _cost(point, kind), point.metrics[LOSS]
    (left, bottom), (_, top) = axes.transData.transform([(x, metric.low), (x, metric.high)])
    middle, half = _place(axes, point, kind)[1], 4 * DPI / 72
    marker = (left - half, middle - half, left + half, middle + half)
    return np.array([marker, (left - half / 2, bottom, left + half / 2, top)])


def _along(axes: "Axes", front: Sequence[Point], kind: str) -> np.ndarray:
    """Boxes (N, 4) of 4 pixels along the front's line."""
    ends = np.array([_place(axes, point, kind) for point in front])
    pieces = [np.linspace(a, b, 40) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    dots = np.concatenate([ends, *pieces])
    return np.concatenate([dots - 2, dots + 2], axis=1)


def _mistaken(box: np.ndarray, own: np.ndarray, centres: np.ndarray) -> bool:
    """True if the middle of a label is nearer to the marker of another point."""
    middle = (box[:2] + box[2:]) / 2
    nearest = np.linalg.norm(centres - middle, axis=1).min()
    return bool(nearest < 0.999 * np.linalg.norm(own - middle))


def _overlap(boxes: np.ndarray, others: np.ndarray) -> float:
    """Area in pixels that boxes (N, 4) share with others (M, 4)."""
    sides = np.minimum(boxes[:, None, 2:], others[:, 2:])
    sides -= np.maximum(boxes[:, None, :2], others[:, :2])
    return float(np.maximum(sides, 0).prod(axis=-1).sum())


def _outside(box: np.ndarray, axes: "Axes") -> float:
    """1 if a box is not in the axes, else 0."""
    left, bottom, right, top = axes.bbox.extents
    inside = box[0] >= left and box[1] >= bottom and box[2] <= right and box[3] <= top
    return 1.0 - inside
