"""Plotly figures of a sweep, as plain dicts: metrics with intervals, Pareto fronts."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from evaluation.metrics.measured import Measured
from evaluation.report.pareto import TIME, cost_of, front_of
from evaluation.report.plots import CROWDED, DOWN, FAINT, GREY, UP, colour, floor_fits, is_wide
from evaluation.report.points import (
    LOSS,
    Floor,
    Point,
    by_series,
    has_fractions,
    x_values,
)
from evaluation.report.tables import fid_difference, interval, milliseconds, significant, steps_text

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")


def _hover(point: Point, *shown: Measured) -> str:
    """The whole point for Plotly, which reads a little HTML."""
    loss = point.metrics[LOSS]
    metrics = [loss, *(m for m in shown if m != loss)]
    lines = [
        point.label,
        f"steps: {steps_text(point)}; NFE {point.nfe:g}",
        f"{milliseconds(point)} ms, {significant(point.gmacs_per_image)} GMACs per image",
        *(f"{m.name}: {interval(m.value, m.low, m.high)}" for m in metrics),
        f"difference of FID to all large: {fid_difference(point)}",
    ]
    head, *rest = [point.series, *lines]
    return "<br>".join([f"<b>{escape(head)}</b>", *map(escape, rest)])


def _markers(members: Sequence[Point], x: list[float], key: str, place: int) -> dict[str, Any]:
    metrics = [p.metrics[key] for p in members]
    return {
        "type": "scatter",
        "meta": place,  # the series, for the legend's buttons
        "mode": "markers",
        "x": x,
        "y": [m.value for m in metrics],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [m.high - m.value for m in metrics],
            "arrayminus": [m.value - m.low for m in metrics],
            "color": _faint(colour(place)) if len(members) > CROWDED else colour(place),
            "thickness": 1.2,
            "width": 3,
        },
        "marker": {"color": colour(place), "size": 8, "symbol": SYMBOLS[place % len(SYMBOLS)]},
        "line": {"color": colour(place), "width": 1.6},
        "hoverinfo": "text",
        "hovertext": [_hover(p, p.metrics[key]) for p in members],
    }


def _faint(tone: str) -> str:
    """A colour #rrggbb that shows what is below."""
    parts = (int(tone[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({', '.join(map(str, parts))}, {FAINT})"


def _beyond(floor: Measured, runs: Sequence[Measured]) -> dict[str, Any]:
    """A note at the edge of an axis that does not reach the floor."""
    above = floor.value > max(m.value for m in runs)
    return {
        "xref": "paper",
        "yref": "paper",
        "x": 0.01,
        "y": 0.99 if above else 0.01,
        "yanchor": "top" if above else "bottom",
        "showarrow": False,
        "text": f"real images: {significant(floor.value)} {UP if above else DOWN}",
        "hovertext": escape(interval(floor.value, floor.low, floor.high)),
    }


def _level(floor: Measured, x: Sequence[float]) -> dict[str, Any]:
    """The floor as a dashed line over the range of x."""
    text = f"real images: {interval(floor.value, floor.low, floor.high)}"
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [min(x), max(x)],
        "y": [floor.value, floor.value],
        "line": {"color": GREY, "dash": "dash", "width": 1.5},
        "hoverinfo": "text",
        "hovertext": [escape(text)] * 2,
    }


def _layout(x_title: str, metrics: Sequence[Measured]) -> dict[str, Any]:
    return {
        "margin": {"l": 48, "r": 24, "t": 8, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": x_title, "standoff": 8}},
        "yaxis": {"type": "log", **_log_ticks(metrics)} if is_wide(metrics) else {},
    }


def _log_ticks(metrics: Sequence[Measured]) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 times powers of ten, in full: Plotly would write 5 for 50."""
    first = math.floor(math.log10(min(m.low for m in metrics)))
    last = math.ceil(math.log10(max(m.high for m in metrics)))
    texts = [
        f"{digit * 10.0**power:.6g}" for power in range(first, last + 1) for digit in (1, 2, 5)
    ]
    return {"tickvals": [float(text) for text in texts], "ticktext": texts}


def metric_figure(points: Sequence[Point], floor: Floor | None, key: str) -> dict[str, Any]:
    """One metric with its intervals against the fraction, or against GMACs per image.

    It has `id`, and `data` and `layout` for Plotly.
    """
    on_fraction, every, data = has_fractions(points), x_values(points), []
    shown = list[Measured]()
    for place, members in enumerate(by_series(points).values()):
        have = [i for i in members if key in points[i].metrics]
        trace = _markers([points[i] for i in have], [every[i] for i in have], key, place)
        data.append(trace | ({"mode": "lines+markers"} if on_fraction else {}))
        shown += [points[i].metrics[key] for i in have]
    x_title = "fraction of the first denoiser" if on_fraction else "GMACs / image"
    real = floor.metrics.get(key) if floor else None
    if real and (fits := floor_fits(shown, real)):
        data.insert(0, _level(real, every))
    layout = _layout(x_title, shown)
    if real and not fits:
        layout["annotations"] = [_beyond(real, shown)]
    if on_fraction:
        layout["xaxis"] |= {"dtick": 0.2}
    return {"id": f"metric-{key}", "data": data, "layout": layout}


def pareto_figure(points: Sequence[Point], floor: Floor | None, kind: str) -> dict[str, Any]:
    """FID against a cost (pareto.TIME or FLOPS), with the front; as `metric_figure`."""
    unit = 1e3 if kind == TIME else 1e-9
    costs = {i: c * unit for i, p in enumerate(points) if (c := cost_of(p, kind)) is not None}
    front = front_of(points, kind)
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [costs[i] for i in front],
        "y": [points[i].metrics[LOSS].value for i in front],
        "line": {"color": GREY, "width": 2},
        "hoverinfo": "skip",
    }
    data, shown = [line], [points[i].metrics[LOSS] for i in costs]
    real = floor.metrics.get(LOSS) if floor else None
    if real and (fits := floor_fits(shown, real)):
        data.append(_level(real, list(costs.values())))
    scale = math.log if is_wide(shown) else float
    bottom, top = scale(min(m.low for m in shown)), scale(max(m.high for m in shown))
    height, width = top - bottom or 1.0, max(costs.values()) - min(costs.values()) or 1.0
    labelled = _with_room(
        {i: (c / width, scale(points[i].metrics[LOSS].value) / height) for i, c in costs.items()},
        front,
    )
    for place, members in enumerate(by_series(points).values()):
        have = [i for i in members if i in costs]
        labels = [escape(points[i].short) if i in labelled else "" for i in have]
        markers = _markers([points[i] for i in have], [costs[i] for i in have], LOSS, place)
        data.append(
            markers
            | {"mode": "markers+text", "text": labels, "textposition": "top right"}
            | {"cliponaxis": False}
        )
    layout = _layout("ms / image" if kind == TIME else "GFLOPs / image", shown)
    if real and not fits:
        layout["annotations"] = [_beyond(real, shown)]
    return {"id": f"pareto-{kind.lower()}", "data": data, "layout": layout}


def _with_room(spots: Mapping[int, tuple[float, float]], front: Sequence[int]) -> list[int]:
    """Points of the front whose label, at its upper right, nears no other marker or label.

    Args:
        spots: cost and loss of every marker, in 0..1 of the plot.
    """
    kept: dict[int, tuple[float, float]] = {}
    for i in front:
        x, y = spots[i]
        others = [spot for k, spot in spots.items() if k != i]
        near = any(-0.02 < a - x < 0.11 and -0.02 < b - y < 0.11 for a, b in others)
        clash = any(abs(a - x) < 0.1 and abs(b - y) < 0.07 for a, b in kept.values())
        if not near and not clash:
            kept[i] = (x, y)
    return list(kept)
