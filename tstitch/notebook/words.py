"""Overrides of scripts/sample.py for a loaded pair whose fraction a command chooses itself."""

from collections.abc import Sequence

from tstitch.config.cli import compose
from tstitch.notebook.loading import followed
from tstitch.runtime.errors import UserError

NOT_SCORED = "evaluation=none"


def sampling_words(words: Sequence[str], section: str) -> tuple[str, ...]:
    """Overrides of the command line that are those of scripts/sample.py, the pair's name left out.

    Args:
        section: of the command's own settings.

    Raises:
        UserError: a schedule, which the command chooses.
    """
    kept = tuple(w for w in words if not w.lstrip("+").startswith((f"{section}.", "pair=")))
    for word in kept:
        if word.startswith("stitch") and not word.startswith("stitch.axis="):
            raise UserError(f"{word}: fractions are chosen by {section}; leave it out")
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
    if denoisers < 2:
        raise UserError("pair: has one denoiser, and nothing to stitch; choose another pair")
    if denoisers == 2:
        return f"stitch.fraction={fraction:g}"
    rest = [f"{(1 - fraction) / (denoisers - 1):.9g}"] * (denoisers - 2)  # the last one's is left
    return f"stitch.fractions=[{','.join([f'{fraction:g}', *rest])}]"
