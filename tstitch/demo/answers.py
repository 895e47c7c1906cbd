"""What the page answers: bits of HTML, as they become known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tstitch.demo import look, pictures
from tstitch.demo.explorer import Asked, Explorer, Seen
from tstitch.runtime.errors import UserError


@dataclass(frozen=True, slots=True)
class Answer:
    """HTML of the page's parts."""

    line: str  # above all else: progress, or what is wrong
    chosen: str
    strip: str
    curve: str


Number = TypeVar("Number", int, float)
EMPTY = Answer("", look.HINT, "", "")


def answers(
    explorer: Explorer,
    fractions: Sequence[float],
    fraction: float | None,
    every: bool,
    pair: str,
    condition: str,
    images: int | None,
    steps: int | None,
    guidance: float | None,
    seed: int | None,
) -> Iterator[Answer]:
    """The page after each piece of work; the last one is whole.

    Args:
        fractions: of the columns.
        fraction: the chosen one.
        every: whether all columns are made; else what is there is shown beside the chosen one.
        pair: and those after it as in `Explorer.ask`; None = a field that is empty.
    """
    try:
        numbers = (
            _given("images", images),
            _given("steps", steps),
            _given("guidance", guidance),
            _given("seed", seed),
        )
        chosen = _given("fraction", fraction)
        asked = explorer.ask(pair, condition, *numbers)
        yield from _pieces(explorer, asked, fractions, chosen, every)
    except UserError as error:
        yield Answer(pictures.message(str(error), bad=True), look.HINT, "", "")


def _given(name: str, value: Number | None) -> Number:
    if value is None:
        raise UserError(f"{name}: is empty; give a number")
    return value


def _pieces(
    explorer: Explorer, asked: Asked, fractions: Sequence[float], fraction: float, every: bool
) -> Iterator[Answer]:
    seen = explorer.seen(asked)
    order = [fraction, *(f for f in fractions if f != fraction)] if every else [fraction]
    missing = [f for f in order if f not in seen.made]
    for number, f in enumerate(missing):
        work = f"making fraction {f:g}, {number + 1} of {len(missing)}"
        yield _answer(seen, asked, fractions, fraction, work)
        explorer.make(asked, f)
    if every and seen.apart is None and not seen.refused:
        yield _answer(seen, asked, fractions, fraction, "measuring the disagreement")
        explorer.disagreement(asked)
    yield _answer(seen, asked, fractions, fraction, "")


def _answer(
    seen: Seen, asked: Asked, fractions: Sequence[float], fraction: float, work: str
) -> Answer:
    made, names = seen.made, seen.sampler.denoisers
    chosen, whole = look.HINT, made.get(0.0)
    if fraction in made:
        seconds = None if whole is None else whole.seconds
        schedule = seen.schedules[fraction]
        chosen = pictures.chosen(fraction, made[fraction], schedule, asked.conditions, seconds)
    curve = pictures.message(seen.refused)
    if seen.apart is not None:
        schedule = seen.schedules.get(fraction, ())
        curve = pictures.curve(seen.apart, schedule, names)
    strip = pictures.side_by_side(fractions, made, asked.conditions, names, marked=fraction)
    return Answer(pictures.message(work), chosen, strip, curve)
