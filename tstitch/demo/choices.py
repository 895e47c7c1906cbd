"""The pairs that the page offers."""

from tstitch.config.cli import compose, options
from tstitch.notebook.words import NOT_SCORED
from tstitch.pair.presence import weights_here
from tstitch.runtime.errors import UserError


def pairs_here() -> list[str]:
    """Pairs of configs/pair, and of --config-dir, all of whose weights are on this machine."""
    return [name for name in options("pair") if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        pair = compose("sample", [f"pair={name}", NOT_SCORED])["pair"]
        several = len(pair.get("denoisers") or pair.get("networks") or ()) > 1
        return several and weights_here(pair)
    except UserError:  # one that leaves something to be given
        return False
