"""Schedules as strips of steps, one below the other, beside what was measured of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.metrics.jackknife import Interval
from evaluation.report.plots import GREY, colour, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILL = (colour(0), "#E4E4E4", colour(4))  # of the models, small to large
ROOM = 0.06  # of an axis, at each side
STRETCH = 2.0  # how many times as long an axis may be so that all is on it


@dataclass(frozen=True)
class Strip:
    """A schedule, and its values by column."""

    label: str
    models: Sequence[int]  # of each step, noisiest first, 0 = smallest
    values: Sequence[Interval]
    beside: bool = False  # for comparison alone: written, not drawn, where it is far off the others
    strong: bool = False  # set in bold


@dataclass(frozen=True)
class Column:
    """An axis of values."""

    title: str
    reference: float  # a dashed line


def draw_strips(
    title: str, strips: Sequence[Strip], columns: Sequence[Column], names: Sequence[str]
) -> "Figure":
    """One row per schedule: its steps, then a marker with its interval in every column.

    Args:
        names: of the models, small to large.

    Raises:
        ValueError: no strips, or another number of values than columns.
    """
    if not strips or any(len(strip.values) != len(columns) for strip in strips):
        raise ValueError(f"strips={len(strips)}: give each {len(columns)} values, one per column")
    from matplotlib.patches import Patch

    figure = new_figure(4.6 + 2.9 * len(columns), 1.5 + 0.32 * len(strips))
    grid = figure.add_gridspec(1, 1 + len(columns), width_ratios=[1.5, *[1.0] * len(columns)])
    left = figure.add_subplot(grid[0])
    _draw_steps(left, strips)
    for place, column in enumerate(columns):
        axes = figure.add_subplot(grid[place + 1], sharey=left)
        _draw_values(axes, strips, place, column)
    figure.suptitle(title, fontsize=11)
    handles = [Patch(facecolor=FILL[k], label=f"step of {name}") for k, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower left", fontsize=9, frameon=False, ncols=3)
    return figure


def _draw_steps(axes: "Axes", strips: Sequence[Strip]) -> None:
    for height, strip in enumerate(strips):
        axes.barh(
            [height] * len(strip.models), [1] * len(strip.models), 0.72,
            left=range(len(strip.models)), color=[FILL[model] for model in strip.models],
            edgecolor="white", linewidth=0.6,
        )  # fmt: skip
    axes.set_yticks(range(len(strips)), [strip.label for strip in strips], fontsize=9)
    for tick, strip in zip(axes.get_yticklabels(), strips, strict=True):
        tick.set_weight("bold" if strip.strong else "normal")
    axes.set_ylim(len(strips) - 0.4, -0.6)  # the first on top
    axes.set_xlim(0, max(len(strip.models) for strip in strips))
    axes.set_xlabel("step, noisiest first", fontsize=9)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="both", length=0, labelsize=9)


def _draw_values(axes: "Axes", strips: Sequence[Strip], place: int, column: Column) -> None:
    style(axes)
    axes.tick_params(axis="y", labelleft=False, length=0)
    axes.set_title(column.title, fontsize=9)
    axes.axvline(column.reference, color=GREY, linestyle="--", linewidth=1)
    low, high = _span(strips, place, column)
    reach = ROOM * (high - low or 1.0)
    axes.set_xlim(low - reach, high + reach)
    for height, strip in enumerate(strips):
        value, tone = strip.values[place], GREY if strip.beside else colour(1)
        if low - reach <= value.value <= high + reach:
            axes.errorbar(
                value.value, height, fmt="o", color=tone, markersize=5, elinewidth=1.1, capsize=2.5,
                xerr=[[value.value - value.low], [value.high - value.value]],
            )  # fmt: skip
        else:
            beyond = value.value > high
            axes.annotate(
                f"{value.value:.3g} \N{RIGHTWARDS ARROW}" if beyond
                else f"\N{LEFTWARDS ARROW} {value.value:.3g}",
                (1.0 if beyond else 0.0, height), xycoords=("axes fraction", "data"),
                ha="right" if beyond else "left", va="center", fontsize=8, color=tone,
            )  # fmt: skip


def _span(strips: Sequence[Strip], place: int, column: Column) -> tuple[float, float]:
    """Ends of an axis: of all values, or without those that would stretch it much."""

    def ends(values: list[Interval]) -> tuple[float, float]:
        lows, highs = [v.low for v in values], [v.high for v in values]
        return min([column.reference, *lows]), max([column.reference, *highs])

    own = ends([strip.values[place] for strip in strips if not strip.beside])
    every = ends([strip.values[place] for strip in strips])
    return every if every[1] - every[0] <= STRETCH * (own[1] - own[0]) else own
