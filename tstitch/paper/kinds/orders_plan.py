"""Which runs a comparison of stitching orders is made of: orders of as many steps of each model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tstitch.config.groups import group_option
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.own_pair import TWO, of_own_pair
from tstitch.paper.figure.plan import CurvePoint, plan_points
from tstitch.paper.figure.settings import Reproduction
from tstitch.runtime.errors import UserError, errors_of
from tstitch.sampling.experiment import PairExperiment
from tstitch.schedules.kinds import unresolved

FIRST = "first"  # the order that is compared with the others
ALL_LARGE, ALL_SMALL = "all large", "all small"
ANCHORS = {0.0: ALL_LARGE, 1.0: ALL_SMALL}  # by fraction
# Keys of an order: its name, a file in configs/stitch, or its steps.
LABEL, STITCH, STEPS = "label", "stitch", "models"
Section = dict[str, Any]


def order_section(order: Mapping[str, Any], small: int, steps: int) -> Section:
    """The stitch section of an order with so many small steps; what the order says comes first.

    Args:
        order: `stitch` and fields of that section; or `models`, one per step.

    Raises:
        UserError: no such file in configs/stitch.
    """
    own = {name: value for name, value in order.items() if name != STITCH}
    if STITCH not in order:
        return explicit(own[STEPS])
    section = group_option("stitch", order[STITCH])
    equal: Section = {"fraction": small / steps, "steps": small, "axis": "step"}
    if "end" in section:  # a window, in the middle unless the order says where
        equal["start"] = own.get("start", (steps - small) // 2 / steps)
        equal["end"] = equal["start"] + small / steps
    return section | {k: v for k, v in equal.items() if k in section} | own


def explicit(models: Sequence[int]) -> Section:
    """The stitch section of a schedule that is known step by step."""
    return {"_target_": "samplers.Explicit", "models": list(models)}


def is_open(section: Section, large: CurvePoint, field: str) -> bool:
    """Whether a schedule is still to be found by measuring.

    Args:
        large: the run of the large model alone, whose steps it must fit.
        field: configuration's name of the order, for messages.

    Raises:
        UserError: a bad field of such a schedule.
    """
    with errors_of(f"{field}: ", UserError):
        schedule = unresolved(section)
        if schedule is not None:
            with errors_of("stitch."):
                schedule.check(len(large.experiment.step_evaluations), len(TWO))
    return schedule is not None


def plan_pair(
    curve: Curve, pair: str, settings: Reproduction, *, trial: bool
) -> tuple[CurvePoint, ...]:
    """The anchors of a protocol for a pair, all large first.

    Raises:
        UserError: a pair of other models than a small and a large one; values that runs refuse.
    """
    weights, field = {role: role for role in TWO}, f"paper.{settings.scale.name}.pairs"
    points = plan_points((curve,), of_own_pair(settings, pair, weights, field), trial=trial)
    return tuple(
        replace(point, planned=replace(
            point.planned, series=f"{pair}: {point.planned.protocol}",
            label=ANCHORS[point.fraction], fraction=None,
        ))
        for point in sorted(points, key=lambda point: point.fraction)
    )  # fmt: skip


def plan_order(
    large: CurvePoint, label: str, section: Section, small: int, field: str
) -> CurvePoint:
    """An order beside the run of the large model alone.

    Args:
        section: of its schedule.
        field: configuration's name of the order, for messages.

    Raises:
        UserError: a schedule that the run refuses, one of another number of small steps, or one
            that is not known before.
    """
    with errors_of(f"{field}: ", UserError):
        experiment = large.experiment.with_stitch(section)
    if experiment.online is not None:
        raise UserError(f"{field}: each image decides its own steps; choose orders of equal cost")
    count = experiment.step_models.count(0)
    if count != small:
        raise UserError(
            f"{field}: has {count} small steps, not {small}; choose orders of equal cost"
        )
    shares = (round(small / len(experiment.step_evaluations), 9), 0.0)
    planned = replace(large.planned, label=label, experiment=experiment)
    return replace(large, kind=label, shares=(*shares, 1 - shares[0]), planned=planned)


def stand_in(experiment: PairExperiment, small: int, place: int) -> Section:
    """A schedule of as many small steps, before it is known which: for costs and checks.

    Args:
        place: of the order; others have other schedules, as a rule.
    """
    models = np.random.default_rng(place).permutation(
        [0] * small + [1] * (len(experiment.step_evaluations) - small)
    )
    return explicit(models.tolist())


def same_schedules(points: Sequence[CurvePoint]) -> list[list[str]]:
    """Labels of orders that came out as one schedule, each list of at least two."""
    found: dict[tuple[int, ...], list[str]] = {}
    for point in points:
        found.setdefault(point.experiment.step_models, []).append(point.planned.label)
    return [labels for labels in found.values() if len(labels) > 1]
