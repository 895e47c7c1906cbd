"""Settings of a figure whose small and large model are no pair of the scale."""

from collections.abc import Mapping
from typing import Annotated, Any

from tstitch.config import fields
from tstitch.config.cli import compose
from tstitch.paper.figure.settings import TWO, Reproduction, Weights
from tstitch.runtime.errors import UserError

SPACE = "pair.space."
# Of a pair's models: the name that each one's weights have in a command, weights.NAME=.
OwnWeights = Annotated[
    dict[str, Annotated[str, fields.one_of(tuple(Weights.model_fields))]],
    fields.Rule(
        lambda names: isinstance(names, Mapping) and set(names) <= set(TWO),
        "name weights of small and large alone",
    ),
]


def of_own_pair(
    settings: Reproduction, pair: str, weights: Mapping[str, str], field: str
) -> Reproduction:
    """The settings with another pair of small and large.

    What `overrides` say of the scale's own space, and this pair's does not have, is left out: the
    ledger has figures of both.

    Args:
        pair: its name in configs/pair/.
        weights: names of its weights in settings.weights, by model.
        field: configuration's name of the pair, for messages.

    Raises:
        UserError: no such pair, or one of other models.
    """
    section = _section(pair)
    names = tuple(section.get("denoisers") or section["networks"])
    if names != TWO:
        raise UserError(
            f"{field}={pair}: has {', '.join(names)}; choose a pair of {' and '.join(TWO)}"
        )
    own, usual = (_space(name) for name in (pair, settings.scale.pairs[TWO]))
    foreign = tuple(f"{SPACE}{key}=" for key in usual - own)
    pairs = settings.scale.pairs | {TWO: pair}
    given = {r: settings.weights[name] for r, name in weights.items() if name in settings.weights}
    return settings.model_copy(
        update={
            "scale": settings.scale.model_copy(update={"pairs": pairs}),
            "overrides": tuple(w for w in settings.overrides if not w.startswith(foreign)),
            "weights": given,
        }
    )


def _space(pair: str) -> set[str]:
    """What the space of a pair can be told."""
    return set(_section(pair).get("space", ()))


def _section(pair: str) -> dict[str, Any]:
    section: dict[str, Any] = compose("sample", [f"pair={pair}"])["pair"]
    return section
