"""The pairs that the page offers, and the words that each begins with."""

from collections.abc import Sequence

from tstitch.config.cli import compose, options
from tstitch.notebook.loading import followed
from tstitch.pair.presence import weights_here
from tstitch.runtime.errors import UserError

PAGE = "demo."
NOT_SCORED = "evaluation=none"


def pairs_here() -> list[str]:
    """Pairs of configs/pair, and of --config-dir, all of whose weights are on this machine."""
    return [name for name in options("pair") if _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        return weights_here(compose("sample", [f"pair={name}", NOT_SCORED])["pair"])
    except UserError:  # one that leaves something to be given
        return False


def sampling_words(words: Sequence[str]) -> tuple[str, ...]:
    """Overrides of the command line that are those of scripts/sample.py, the pair's name left out.

    Raises:
        UserError: a schedule, which the page chooses.
    """
    kept = tuple(w for w in words if not w.lstrip("+").startswith((PAGE, "pair=")))
    for word in kept:
        if word.startswith("stitch") and not word.startswith("stitch.axis="):
            raise UserError(f"{word}: the page chooses the fraction; leave it out")
    return kept


def beginning(pair: str, words: Sequence[str]) -> tuple[str, ...]:
    """The words with a schedule for as many denoisers as the pair has.

    Raises:
        UserError: no such pair, or a bad word.
    """
    words = followed([NOT_SCORED], words)
    count = len(compose("sample", [f"pair={pair}", *words])["pair"].get("denoisers", ()))
    if count <= 2:
        return words
    return followed(["stitch=fractions", stitch_word(0.0, count)], words)


def stitch_word(fraction: float, denoisers: int) -> str:
    """The override that gives the smallest denoiser a fraction; larger ones share the rest."""
    if denoisers == 2:
        return f"stitch.fraction={fraction:g}"
    rest = [f"{(1 - fraction) / (denoisers - 1):.9g}"] * (denoisers - 2)  # the last one's is left
    return f"stitch.fractions=[{','.join([f'{fraction:g}', *rest])}]"
