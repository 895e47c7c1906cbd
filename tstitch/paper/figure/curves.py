"""The curves of a figure: runs that differ in their schedule."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tstitch.config import fields
from tstitch.config.simplex import list_simplex
from tstitch.paper.figure.expected import ROLES, Expected

SCHEDULES = ("fraction", "interleave", "decreasing", "large_to_small")
IN_ORDER = fields.Rule(
    lambda models: len(models) > 1 and list(models) == [r for r in ROLES if r in models],
    f"choose two or three of {', '.join(ROLES)}, in this order",
)
MIXES = fields.Rule(fields.is_list, "give a list of lists of shares")
Shares = tuple[float, float, float]


class Curve(fields.Settings):
    """Runs that differ in their schedule, for each number of steps, guidance and variant.

    Validated with the number of images of curves that name none (`default_images`), what replaces
    it (`images`), and weights by label of a variant (`checkpoints`).
    """

    models: Annotated[tuple[str, ...], IN_ORDER, fields.names(ROLES)]
    sampler: fields.Text
    steps: Annotated[tuple[int, ...], fields.EACH_ONCE, fields.wholes(1)]
    guidance: Annotated[tuple[float, ...], fields.EACH_ONCE, fields.numbers(0)] = (1.5,)
    fractions: Annotated[tuple[float, ...], fields.numbers(0, 1)] = ()  # of the smaller one
    kinds: Annotated[tuple[str, ...], fields.EACH_ONCE, fields.names(SCHEDULES)] = ("fraction",)
    simplex: tuple[tuple[float, ...], ...] = ()
    mixes: Annotated[tuple[Any, ...], MIXES] = ()
    pair: fields.Text | None = None  # of small and large, in place of the scale's
    overrides: Annotated[tuple[str, ...], fields.words("run.dtype=bf16")] = ()  # of its runs
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
        own = fields.context(info)["default_images"] if value is None else fields.whole(4)(value)
        return fields.context(info)["images"] or own

    @field_validator("variants", mode="plain")
    @classmethod
    def _check_variants(cls, given: Any, info: ValidationInfo) -> dict[str, dict[str, str | None]]:
        models, found = info.data.get("models", ROLES), {}
        if not isinstance(given, Mapping) or not given:
            raise ValueError("give weights by model for each label")
        for label, weights in given.items():
            if not isinstance(label, str):
                raise ValueError(f"{label} is no text; choose another label")
            if not isinstance(weights, Mapping) or not set(weights) <= set(models):
                raise ValueError(f"{label}: give weights of {', '.join(models)}")
            if not all(v is None or (isinstance(v, str) and v) for v in weights.values()):
                raise ValueError(f"{label}: weights are a path, URL, random or null")
            checkpoint = fields.context(info)["checkpoints"].get(label)
            found[label] = {role: checkpoint or v for role, v in weights.items()}
        return found

    @model_validator(mode="after")
    def _check_schedules(self) -> Self:
        if self.pair is not None and self.models != ("small", "large"):
            raise fields.refusal("pair", "is of small and large; give the curve these models")
        if len(self.models) > 2 and self.kinds != ("fraction",):
            raise fields.refusal("kinds", "choose [fraction]; the others are for two models")
        if self.fractions and len(self.models) != 2:
            remedy = "are of two models; choose mixes or simplex for three"
            raise fields.refusal("fractions", remedy)
        if not self.shares:
            raise fields.refusal("fractions", "give fractions, mixes or simplex")
        if len(set(self.shares)) < len(self.shares):
            raise fields.refusal(self._mixes[-1][0], "has a schedule twice; give each once")
        _ = self.paper_values  # which must be those of these schedules
        return self

    @property
    def is_row(self) -> bool:
        """Whether its runs differ in the shares of the models alone."""
        varied = (self.steps, self.guidance, self.kinds, self.variants)
        return all(len(values) == 1 for values in varied)

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
                raise fields.refusal(field, str(error)) from error
        return tuple(found)

    @cached_property
    def paper_values(self) -> tuple[dict[str, float], ...]:
        """The paper's values by metric, of every schedule, kind and variant; empty = not known."""
        points = list(self.shares) * (len(self.kinds) * len(self.variants))
        return self.expected.of_points(points)

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
    good = fields.is_list(values) and len(values) == len(models)
    if not good or not all(fields.is_number(v) and 0 <= v <= 1 for v in values):
        raise ValueError(f"give a share from 0 to 1 of each of {', '.join(models)}")
    if not math.isclose(sum(values), 1, abs_tol=1e-7):
        raise ValueError(f"shares of {', '.join(models)} must add up to 1")
    mix = dict(zip(models, values, strict=True))
    small, medium, large = (round(float(mix.get(role, 0)), 9) for role in ROLES)
    return small, medium, large
