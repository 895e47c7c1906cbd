"""Pareto fronts: which runs no other run beats in both cost and quality."""

import math
from collections.abc import Sequence

from evaluation.report.points import LOSS, Point

TIME, FLOPS = "time", "FLOPs"


def pareto_front(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """Indices of the points that no other point dominates; both numbers are minimised.

    A point dominates another if it is at most equal in both numbers and smaller in one, so that
    of identical points all are on the front, or none.

    Returns:
        indices in order of cost; identical points in their order.

    Raises:
        ValueError: lists of different lengths, or a number that is None, NaN or infinite.
    """
    if len(costs) != len(losses):
        raise ValueError(f"costs={len(costs)} numbers: there are {len(losses)} losses; give pairs")
    for name, values in (("costs", costs), ("losses", losses)):
        for index, value in enumerate(values):
            if value is None or not math.isfinite(value):
                raise ValueError(f"{name}[{index}]={value}: not a number; leave the point out")
    front: list[int] = []
    best = (math.inf, math.inf)  # cost and loss of the last point on the front
    for index in sorted(range(len(costs)), key=lambda i: (costs[i], losses[i])):
        pair = (costs[index], losses[index])
        if pair[1] < best[1] or pair == best:
            front.append(index)
            best = pair
    return front


def cost_of(point: Point, kind: str) -> float | None:
    """Seconds (TIME) or FLOPs (FLOPS) per image; None if the run was not timed."""
    return point.seconds_per_image if kind == TIME else point.flops_per_image


def front_of(points: Sequence[Point], kind: str) -> list[int]:
    """Indices on the front of a cost (TIME or FLOPS) and FID; runs without the cost are off it."""
    costs = ((i, cost_of(point, kind)) for i, point in enumerate(points))
    known = {i: cost for i, cost in costs if cost is not None}
    losses = [points[i].metrics[LOSS].value for i in known]
    numbers = list(known)
    return [numbers[k] for k in pareto_front(list(known.values()), losses)]
