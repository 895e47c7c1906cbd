"""All mixes of several denoisers in equal steps."""

import math
from itertools import product
from typing import Any

from tstitch.config import fields

MAX_PARTS = 100


def list_simplex(step: Any, num_models: int) -> tuple[tuple[float, ...], ...]:
    """All shares of the denoisers, smallest first, in multiples of a step.

    Returns:
        Shares that add up to 1, in ascending order; none if the step is null.

    Raises:
        ValueError: a step that does not divide 1; the message is the remedy.
    """
    if step is None:
        return ()
    parts = round(1 / fields.number(1 / MAX_PARTS, 1.0)(step))
    if not math.isclose(parts * step, 1.0, rel_tol=1e-9):
        raise ValueError("choose a step that divides 1, e.g. 0.1 or 0.25")
    counts = product(range(parts + 1), repeat=num_models - 1)
    whole = [(*count, parts - sum(count)) for count in counts if sum(count) <= parts]
    return tuple(tuple(n / parts for n in count) for count in whole)
