"""The paper's values of a curve, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tstitch.errors import UserError
from tstitch.section import Section, is_number

METRICS = ("fid", "inception_score", "precision", "recall", "seconds")
OF_MIXES = ("fid", "inception_score", "seconds")  # in rows of `mixes`
LEAST_SECONDS = 1e-9
DEFAULTS = dict.fromkeys((*METRICS, "mixes")) | {"error": 0, "source": ""}


@dataclass(frozen=True, slots=True)
class Expected:
    """What the paper has for the points of a curve."""

    values: tuple[dict[str, float], ...] = ()  # by metric, per point; empty = nothing known
    error: float = 0.0  # of reading its FID
    source: str = ""


def parse_expected(
    config: Any, path: str, points: Sequence[tuple[float, ...]], models: Sequence[str]
) -> Expected:
    """Checks the section `expected` of a curve.

    Either one list per metric, in the order of the points, null where the paper has no value; or
    `mixes`: rows of the models' shares followed by FID, Inception Score and seconds, in any order.

    Args:
        path: of the section, for messages.
        points: shares of the models, of every point.
        models: their names.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, path, tuple(DEFAULTS), DEFAULTS)
    columns = {name: section.raw(name) for name in METRICS if section.raw(name) is not None}
    if section.raw("mixes") is not None:
        if columns:
            raise UserError(f"{path}.{next(iter(columns))}: leave it out, or {path}.mixes")
        rows = _rows(section.raw("mixes"), f"{path}.mixes", models)
        for shares in points:
            if shares not in rows:
                raise UserError(f"{path}.mixes: has no row for the shares {shares}; add one")
        columns = {n: [rows[shares][k] for shares in points] for k, n in enumerate(OF_MIXES)}
    for name, values in columns.items():
        least = LEAST_SECONDS if name == "seconds" else 0
        if not isinstance(values, list) or not all(
            v is None or (is_number(v) and v >= least) for v in values
        ):
            raise section.refuse(name, "give a list of positive numbers, null if not known")
        if len(values) != len(points):
            raise UserError(
                f"{path}.{name}: has {len(values)} values; give {len(points)}, one per point"
            )
    if not isinstance(section.raw("source"), str):
        raise section.refuse("source", "give a text")
    known = {n: [None if v is None else float(v) for v in values] for n, values in columns.items()}
    per_point = tuple(
        {name: value for name, values in known.items() if (value := values[i]) is not None}
        for i in range(len(points) if known else 0)
    )
    return Expected(per_point, section.number("error", 0), section.raw("source"))


def _rows(rows: Any, path: str, models: Sequence[str]) -> dict[tuple[float, ...], list[float]]:
    """Values by shares."""
    width = len(models) + len(OF_MIXES)
    wanted = f"{width} numbers: shares of {', '.join(models)}, then {', '.join(OF_MIXES)}"
    if not isinstance(rows, list):
        raise UserError(f"{path}={rows!r}: give rows of {wanted}")
    found = {}
    for row in rows:
        if not isinstance(row, list) or len(row) != width or not all(map(is_number, row)):
            raise UserError(f"{path}: {row!r} is no row of {wanted}")
        shares = tuple(round(float(share), 9) for share in row[: len(models)])
        if shares in found:
            raise UserError(f"{path}: has two rows for the shares {shares}; leave one out")
        found[shares] = row[len(models) :]
    return found
