"""The checked `sweep` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator

from tstitch.config import fields
from tstitch.config.simplex import list_simplex


def _each_once(value: Any) -> Any:
    """A list, null being an empty one."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"write a list, {fields.FIELD}=[{value}]")
    if len({str(entry) for entry in value}) != len(value):
        raise ValueError("holds a value twice; give each once")
    return value


EACH_ONCE = BeforeValidator(_each_once)


class SweepSettings(fields.Settings):
    """What to vary; described in configs/sweep.yaml.

    Validated with the number of denoisers of the pair (`num_models`).
    """

    path = "sweep"

    dir: fields.PathText | None
    fractions: Annotated[tuple[float, ...], fields.numbers(0, 1), EACH_ONCE]
    kinds: Annotated[tuple[str, ...], fields.names(), EACH_ONCE]  # files of configs/stitch
    simplex: tuple[tuple[float, ...], ...]  # fractions of all denoisers, one entry per run
    samplers: Annotated[tuple[str, ...], fields.names(), EACH_ONCE]
    steps: Annotated[tuple[int, ...], fields.wholes(1), EACH_ONCE]
    guidance: Annotated[tuple[float, ...], fields.numbers(0), EACH_ONCE]
    strip: Annotated[int, fields.whole(0, 100)]
    timing_rounds: Annotated[int, fields.whole(0, 1000)]

    @field_validator("simplex", mode="before")
    @classmethod
    def _list_simplex(cls, step: Any, info: ValidationInfo) -> tuple[tuple[float, ...], ...]:
        return list_simplex(step, fields.context(info)["num_models"])

    @model_validator(mode="after")
    def _check_schedules(self, info: ValidationInfo) -> Self:
        models = fields.context(info)["num_models"]
        if self.fractions and not self.simplex:
            if models != 2:
                raise fields.refusal(
                    "fractions",
                    f"the pair has {models} denoisers; choose sweep.simplex=0.1 (a step between "
                    "fractions), or sweep.fractions=[] for the one schedule of stitch",
                )
            if not self.kinds:
                raise fields.refusal("kinds", "choose at least one of stitch, e.g. [fraction]")
        return self
