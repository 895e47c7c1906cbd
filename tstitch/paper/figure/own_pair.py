"""Settings of a figure whose small and large model are no pair of the scale."""

from collections.abc import Mapping

from tstitch.config.cli import compose
from tstitch.paper.figure.settings import Reproduction

TWO = ("small", "large")
SPACE = "pair.space."


def of_own_pair(settings: Reproduction, pair: str, weights: Mapping[str, str]) -> Reproduction:
    """The settings with another pair of small and large.

    What `overrides` say of the scale's own space, and this pair's does not have, is left out: the
    ledger has figures of both.

    Args:
        pair: its name in configs/pair/.
        weights: names of its weights in settings.weights, by model.

    Raises:
        UserError: no such pair.
    """
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
    return set(compose("sample", [f"pair={pair}"])["pair"]["space"])
