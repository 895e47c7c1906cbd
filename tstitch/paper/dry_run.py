"""What a dry run prints: protocol and cost of every figure."""

from collections.abc import Sequence
from typing import Any

from tstitch.paper.cost import count_cost, describe_cost
from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.plan import CurvePoint
from tstitch.paper.figure.settings import Reproduction


def describe_figures(figures: Sequence[Figure], settings: Reproduction) -> list[str]:
    """Lines for every figure, and for all together if there are several; loads nothing.

    Raises:
        UserError: a value that a run refuses.
    """
    plans = [figure.plan(settings, trial=True) for figure in figures]
    lines = []
    for figure, points in zip(figures, plans, strict=True):
        lines += [f"{figure.name}: {figure.title} ({settings.scale.label}: {figure.about})"]
        lines += [f"  {_describe_curve(curve)}" for curve in figure.curves]
        if figure.looked_at:
            lines.append(f"  looks at: {figure.looked_at}")
        lines += figure.cost_lines(settings)
        lines += _describe_points(points, settings)
        if figure.minutes:
            lines.append(f"  about {figure.minutes:g} minutes on 2 cores")
    if len(plans) > 1:
        lines.append("together, shared points counted once:")
        lines += _describe_points([point for points in plans for point in points], settings)
    return lines


def _describe_points(points: Sequence[CurvePoint], settings: Reproduction) -> list[str]:
    if not points:
        return []
    return [f"  {line}" for line in describe_cost(count_cost(points), settings.throughput)]


def _describe_curve(curve: Curve) -> str:
    return (
        f"{' + '.join(curve.models)}, {curve.sampler}, steps {_list(curve.steps)}, "
        f"guidance {_list(curve.guidance)}, {len(curve.shares)} schedules"
        + (f" of {_list(curve.kinds)}" if curve.kinds != ("fraction",) else "")
        + (f", {len(curve.variants)} variants" if len(curve.variants) > 1 else "")
        + f", {curve.images:,} images each"
        + (f"; expected: {curve.expected.source}" if curve.expected.source else "")
    )


def _list(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
