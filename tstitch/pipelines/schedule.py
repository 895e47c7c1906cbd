"""What `stitch` is told of fractions and schedules, as one stitch schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import floor
from typing import Any

from samplers.online import OnlineSchedule
from samplers.stitch import (
    Boundary,
    Decreasing,
    Explicit,
    Fraction,
    Fractions,
    Interleave,
    LargeToSmall,
    Last,
    Random,
    ResolvedSchedule,
    StitchSchedule,
    Window,
)
from samplers.stitch_base import AXES, TOLERANCE
from tstitch.pipelines.disagreement import Disagreement
from tstitch.runtime.errors import UserError, errors_of

KINDS: dict[str, type[StitchSchedule]] = {
    "fraction": Fraction,
    "fractions": Fractions,
    "window": Window,
    "boundary": Boundary,
    "last": Last,
    "random": Random,
    "interleave": Interleave,
    "large_to_small": LargeToSmall,
    "decreasing": Decreasing,
    "explicit": Explicit,
}
DEFAULT_FRACTION = 0.4
MEASURED = "its steps are measured; give what tstitch.calibrate found"
FORMS = "a kind ('interleave'), a mapping with its fields, a list of network indices, or a schedule"


def choose_schedule(
    fraction: float | None, axis: str | None, boundary: float | None, schedule: Any
) -> StitchSchedule:
    """The schedule that the arguments of `stitch` come to.

    Args:
        fraction: of the small network, in [0, 1]; None = 0.4, where a schedule has one.
        axis: "step" or "time"; None = "step".
        boundary: in t/T; alone.
        schedule: None, a schedule, the name of a kind, a mapping of `kind` and its fields, a list
            of network indices, or what `calibrate` found.

    Raises:
        UserError: a bad value, or arguments that exclude each other.
    """
    if axis is not None and axis not in AXES:
        raise UserError(f"axis={axis!r}: choose {' or '.join(AXES)}")
    if boundary is not None:
        for name, value in (("fraction", fraction), ("axis", axis), ("schedule", schedule)):
            if value is not None:
                raise UserError(f"{name}={value!r}: leave it out beside boundary={boundary!r}")
        return _build("boundary", {"boundary": boundary})
    if isinstance(schedule, Disagreement):
        return _of_disagreement(schedule, fraction, axis)
    if schedule is None:
        schedule = "fraction"
    if isinstance(schedule, str):
        schedule = {"kind": schedule}
    if isinstance(schedule, Mapping):
        return _of_mapping(dict(schedule), fraction, axis)
    for name, value in (("fraction", fraction), ("axis", axis)):
        if value is not None:
            raise UserError(f"{name}={value!r}: leave it out, the schedule that is given says it")
    if isinstance(schedule, StitchSchedule):
        _check_known(schedule)
        return schedule
    if isinstance(schedule, Sequence):
        return _build("explicit", {"models": schedule})
    raise UserError(f"schedule={schedule!r}: give {FORMS}")


def _check_known(schedule: StitchSchedule) -> None:
    """Refuses one whose steps nobody knows yet."""
    name = type(schedule).__name__
    if isinstance(schedule, ResolvedSchedule) and schedule.models is None:
        raise UserError(f"schedule={name}: {MEASURED}")
    if schedule.propagate is not None or schedule.injection:
        raise UserError(f"schedule.propagate={schedule.propagate}: pipelines run whole networks")
    if isinstance(schedule, OnlineSchedule):
        raise UserError(f"schedule={name}: it decides per image; choose {', '.join(KINDS)}")


def _of_mapping(given: dict[str, Any], fraction: float | None, axis: str | None) -> StitchSchedule:
    kind = given.pop("kind", None)
    if kind == "topk":
        raise UserError(f"schedule={kind}: {MEASURED}")
    if kind not in KINDS:
        raise UserError(f"schedule={kind!r}: choose {', '.join(KINDS)}")
    known = {field.name for field in fields(KINDS[kind])}  # type: ignore[arg-type]
    known -= {"propagate", "injection"}  # pipelines run whole networks
    if unknown := given.keys() - known:
        raise UserError(f"schedule.{min(unknown)}: {kind} has {', '.join(sorted(known))}")
    defaults = {"axis": "step", "fraction": DEFAULT_FRACTION}
    for name, value in (("axis", axis), ("fraction", fraction)):
        if value is not None and (name in given or name not in known):
            raise UserError(f"{name}={value!r}: leave it out, schedule={kind} says which steps")
        if name in known and name not in given:
            given[name] = defaults[name] if value is None else value
    return _build(kind, given)


def _of_disagreement(
    found: Disagreement, fraction: float | None, axis: str | None
) -> StitchSchedule:
    if axis == "time":
        raise UserError("axis='time': a calibration counts steps; leave it out")
    fraction = DEFAULT_FRACTION if fraction is None else fraction
    _build("fraction", {"fraction": fraction})
    return found.topk(floor(fraction * len(found.mean) + TOLERANCE))


def _build(kind: str, values: dict[str, Any]) -> StitchSchedule:
    with errors_of(""):
        try:
            return KINDS[kind](**values)
        except TypeError as error:  # a field that must be given
            raise UserError(f"schedule={kind}: {_missing(error)}") from error


def _missing(error: TypeError) -> str:
    return f"give{str(error).rpartition(':')[2].replace(' and ', ', ')}"
