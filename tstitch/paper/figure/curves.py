"""The checked curves of a figure: runs that differ in their schedule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tstitch.config.section import Section, is_number
from tstitch.config.simplex import parse_simplex
from tstitch.paper.figure.expected import Expected, parse_expected

ROLES = ("small", "medium", "large")
SCHEDULES = ("fraction", "interleave", "decreasing", "large_to_small")
DEFAULTS = {
    "guidance": [1.5], "fractions": [], "kinds": ["fraction"], "simplex": None, "mixes": [],
    "images": None, "variants": {"": {}}, "expected": {},
}  # fmt: skip
FIELDS = ("models", "sampler", "steps", *DEFAULTS)
Shares = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Runs that differ in their schedule, for each number of steps, guidance and variant."""

    models: tuple[str, ...]
    sampler: str
    steps: tuple[int, ...]
    guidance: tuple[float, ...]
    kinds: tuple[str, ...]
    shares: tuple[Shares, ...]  # of small, medium and large, one per schedule
    images: int
    variants: dict[str, dict[str, str | None]]  # other weights by model, None = still to be given
    expected: Expected

    def published(self, metric: str) -> dict[float, float]:
        """The paper's values by fraction (of all models but the largest).

        Of several kinds or variants those of the first.
        """
        place = ROLES.index(self.models[-1])
        return {
            round(1 - shares[place], 9): values[metric]
            for shares, values in zip(self.shares, self.expected.values, strict=False)
            if metric in values
        }


def parse_curves(
    section: Section,
    path: str,
    default: int,
    images: int | None,
    checkpoints: Mapping[str, str],
    *,
    needed: bool,
) -> tuple[Curve, ...]:
    """Checks the field `curves` of a figure's part for a scale; see `parse_curve`.

    Args:
        path: of the section, for messages.
        needed: there must be one.
    """
    given = section.raw("curves")
    if not isinstance(given, list) or (needed and not given):
        raise section.refuse("curves", "give a list of curves")
    return tuple(
        parse_curve(curve, f"{path}.curves.{i}", default, images, checkpoints)
        for i, curve in enumerate(given)
    )


def parse_curve(
    config: Any, path: str, default: int, images: int | None, checkpoints: Mapping[str, str]
) -> Curve:
    """Checks one entry of a figure's `curves`.

    Args:
        path: of the entry, for messages.
        default: number of images of a curve that states none.
        images: what replaces the curve's own number.
        checkpoints: weights by label of a variant.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, path, FIELDS, DEFAULTS)
    models = section.texts("models", ROLES)
    if len(models) < 2 or list(models) != [role for role in ROLES if role in models]:
        raise section.refuse("models", f"choose two or three of {', '.join(ROLES)}, in this order")
    kinds = section.distinct("kinds", section.texts("kinds", SCHEDULES))
    if len(models) > 2 and kinds != ("fraction",):
        raise section.refuse("kinds", "choose [fraction]; the others are for two models")
    shares, variants = _shares(section, models), _variants(section, models, checkpoints)
    points = list(shares) * (len(kinds) * len(variants))
    own = default if section.raw("images") is None else section.integer("images", 4)
    return Curve(
        models=models,
        sampler=section.text("sampler"),
        steps=section.distinct("steps", section.integers("steps", 1)),
        guidance=section.distinct("guidance", section.numbers("guidance", 0)),
        kinds=kinds,
        shares=shares,
        images=images or own,
        variants=variants,
        expected=parse_expected(section.raw("expected"), f"{path}.expected", points, ROLES),
    )


def parse_shares(section: Section, name: str, values: Any, models: tuple[str, ...]) -> Shares:
    """Shares of small, medium and large out of those of some models.

    Args:
        section: of the field, for messages.
        name: of the field.
        values: one share from 0 to 1 per model.

    Raises:
        UserError: another number of values, values that are no shares, or a sum that is not 1.
    """
    good = isinstance(values, list | tuple) and len(values) == len(models)
    if not good or not all(is_number(v) and 0 <= v <= 1 for v in values):
        raise section.refuse(name, f"give a share from 0 to 1 of each of {', '.join(models)}")
    if not math.isclose(sum(values), 1, abs_tol=1e-7):
        raise section.refuse(name, f"shares of {', '.join(models)} must add up to 1")
    mix = dict(zip(models, values, strict=True))
    small, medium, large = (round(float(mix.get(role, 0)), 9) for role in ROLES)
    return small, medium, large


def _shares(section: Section, models: tuple[str, ...]) -> tuple[Shares, ...]:
    """Shares of every schedule."""
    if not isinstance(section.raw("mixes"), list):
        raise section.refuse("mixes", "give a list of lists of shares")
    mixes = [("mixes", mix) for mix in section.raw("mixes")]
    mixes += [("simplex", mix) for mix in parse_simplex(section, len(models))]
    fractions = section.numbers("fractions", 0, 1)
    if fractions and len(models) != 2:
        raise section.refuse("fractions", "are of two models; choose mixes or simplex for three")
    mixes += [("fractions", (f, 1 - f)) for f in fractions]
    found = tuple(parse_shares(section, name, mix, models) for name, mix in mixes)
    if not found:
        raise section.refuse("fractions", "give fractions, mixes or simplex")
    if len(set(found)) < len(found):
        raise section.refuse(mixes[-1][0], "has a schedule twice; give each once")
    return found


def _variants(
    section: Section, models: tuple[str, ...], checkpoints: Mapping[str, str]
) -> dict[str, dict[str, str | None]]:
    """Weights of every variant, by model."""
    given = section.raw("variants")
    if not isinstance(given, Mapping) or not given:
        raise section.refuse("variants", "give weights by model for each label")
    found: dict[str, dict[str, str | None]] = {}
    for label, weights in given.items():
        if not isinstance(label, str):
            raise section.refuse("variants", f"{label} is no text; choose another label")
        if not isinstance(weights, Mapping) or not set(weights) <= set(models):
            raise section.refuse("variants", f"{label}: give weights of {', '.join(models)}")
        if not all(v is None or (isinstance(v, str) and v) for v in weights.values()):
            raise section.refuse("variants", f"{label}: weights are a path, URL, random or null")
        found[label] = {role: checkpoints.get(label) or v for role, v in weights.items()}
    return found
