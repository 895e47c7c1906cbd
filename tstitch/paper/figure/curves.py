"""The curves of a figure: runs that differ in their schedule."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tstitch.paper.figure.expected import Expected
from tstitch.simplex import list_simplex
from tstitch.validation import (
    EACH_ONCE,
    Rule,
    Settings,
    Text,
    is_list,
    is_number,
    is_text,
    names,
    numbers,
    refusal,
    whole,
    wholes,
)

ROLES = ("small", "medium", "large")
SCHEDULES = ("fraction", "interleave", "decreasing", "large_to_small")
IN_ORDER = Rule(
    lambda models: len(models) > 1 and list(models) == [r for r in ROLES if r in models],
    f"choose two or three of {', '.join(ROLES)}, in this order",
)
Shares = tuple[float, float, float]


class Curve(Settings):
    """Runs that differ in their schedule, for each number of steps, guidance and variant.

    Validated with the number of images of curves that name none (`default_images`), what replaces
    it (`images`), and weights by label of a variant (`checkpoints`).
    """

    models: Annotated[tuple[str, ...], IN_ORDER, names(ROLES)]
    sampler: Text
    steps: Annotated[tuple[int, ...], EACH_ONCE, wholes(1)]
    guidance: Annotated[tuple[float, ...], EACH_ONCE, numbers(0)] = (1.5,)
    fractions: Annotated[tuple[float, ...], numbers(0, 1)] = ()  # of the smaller of two models
    kinds: Annotated[tuple[str, ...], EACH_ONCE, names(SCHEDULES)] = ("fraction",)
    simplex: tuple[tuple[float, ...], ...] = ()
    mixes: Annotated[tuple[Any, ...], Rule(is_list, "give a list of lists of shares")] = ()
    images: int = Field(None, validate_default=True)
    # Other weights by model, by label; None = still to be given.
    variants: dict[str, dict[str, str | None]] = {"": {}}
    expected: Expected = Expected()

    @field_validator("simplex", mode="before")
    @classmethod
    def _list_simplex(cls, step: Any, info: ValidationInfo) -> Any:
        return list_simplex(step, len(info.data.get("models", ROLES)))

    @field_validator("images", mode="before")
    @classmethod
    def _choose_images(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.context["default_images"] if value is None else whole(4)(value)
        return info.context["images"] or own

    @field_validator("variants", mode="plain")
    @classmethod
    def _check_variants(cls, given: Any, info: ValidationInfo) -> dict[str, dict[str, str | None]]:
        models, found = info.data.get("models", ROLES), {}
        if not isinstance(given, Mapping) or not given:
            raise ValueError("give weights by model for each label")
        for label, weights in given.items():
            if not is_text(label):
                raise ValueError(f"{label} is no text; choose another label")
            if not isinstance(weights, Mapping) or not set(weights) <= set(models):
                raise ValueError(f"{label}: give weights of {', '.join(models)}")
            if not all(v is None or (is_text(v) and v) for v in weights.values()):
                raise ValueError(f"{label}: weights are a path, URL, random or null")
            checkpoint = info.context["checkpoints"].get(label)
            found[label] = {role: checkpoint or v for role, v in weights.items()}
        return found

    @model_validator(mode="after")
    def _check_schedules(self) -> Self:
        if len(self.models) > 2 and self.kinds != ("fraction",):
            raise refusal("kinds", "choose [fraction]; the others are for two models")
        if self.fractions and len(self.models) != 2:
            raise refusal("fractions", "are of two models; choose mixes or simplex for three")
        if not self.shares:
            raise refusal("fractions", "give fractions, mixes or simplex")
        if len(set(self.shares)) < len(self.shares):
            raise refusal(self._mixes[-1][0], "has a schedule twice; give each once")
        _ = self.paper_values  # which must be those of these schedules
        return self

    @property
    def _mixes(self) -> list[tuple[str, Any]]:
        """Shares of the models of every schedule, with the field that they are from."""
        mixes = [("mixes", mix) for mix in self.mixes]
        mixes += [("simplex", mix) for mix in self.simplex]
        return mixes + [("fractions", (f, 1 - f)) for f in self.fractions]

    @cached_property
    def shares(self) -> tuple[Shares, ...]:
        """Those of small, medium and large, of every schedule."""
        found = []
        for field, mix in self._mixes:
            try:
                found.append(shares_of(mix, self.models))
            except ValueError as error:
                raise refusal(field, str(error)) from error
        return tuple(found)

    @cached_property
    def paper_values(self) -> tuple[dict[str, float], ...]:
        """The paper's values by metric, of every schedule, kind and variant; empty = not known."""
        points = list(self.shares) * (len(self.kinds) * len(self.variants))
        return self.expected.of_points(points, ROLES)

    def published(self, metric: str) -> dict[float, float]:
        """The paper's values by fraction (of all models but the largest).

        Of several kinds or variants those of the first.
        """
        place = ROLES.index(self.models[-1])
        return {
            round(1 - shares[place], 9): values[metric]
            for shares, values in zip(self.shares, self.paper_values, strict=False)
            if metric in values
        }


def shares_of(values: Any, models: tuple[str, ...]) -> Shares:
    """Shares of small, medium and large out of those of some models.

    Args:
        values: one share from 0 to 1 per model.

    Raises:
        ValueError: another number of values, values that are no shares, or a sum that is not 1;
            the message is the remedy.
    """
    good = is_list(values) and len(values) == len(models)
    if not good or not all(is_number(v) and 0 <= v <= 1 for v in values):
        raise ValueError(f"give a share from 0 to 1 of each of {', '.join(models)}")
    if not math.isclose(sum(values), 1, abs_tol=1e-7):
        raise ValueError(f"shares of {', '.join(models)} must add up to 1")
    mix = dict(zip(models, values, strict=True))
    small, medium, large = (round(float(mix.get(role, 0)), 9) for role in ROLES)
    return small, medium, large
