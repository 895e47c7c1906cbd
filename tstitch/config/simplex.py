"""All mixes of several denoisers in equal steps."""

import math
from itertools import product

from tstitch.config.section import Section

MAX_PARTS = 100


def parse_simplex(section: Section, num_models: int) -> tuple[tuple[float, ...], ...]:
    """The field `simplex`: all shares of the denoisers, smallest first, in multiples of a step.

    Returns:
        Shares that add up to 1, in ascending order; none if the field is null.

    Raises:
        UserError: a step that does not divide 1.
    """
    if section.raw("simplex") is None:
        return ()
    step = section.number("simplex", 1 / MAX_PARTS, 1.0)
    parts = round(1 / step)
    if not math.isclose(parts * step, 1.0, rel_tol=1e-9):
        raise section.refuse("simplex", "choose a step that divides 1, e.g. 0.1 or 0.25")
    counts = product(range(parts + 1), repeat=num_models - 1)
    whole = [(*count, parts - sum(count)) for count in counts if sum(count) <= parts]
    return tuple(tuple(n / parts for n in count) for count in whole)
