"""The paper's values of a curve."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from tstitch.config import fields

ROLES = ("small", "medium", "large")
METRICS = ("fid", "inception_score", "precision", "recall", "seconds")
OF_MIXES = ("fid", "inception_score", "seconds")  # in rows of `mixes`
WIDTH = len(ROLES) + len(OF_MIXES)
A_ROW = f"{WIDTH} numbers: shares of {', '.join(ROLES)}, then {', '.join(OF_MIXES)}"
Shares = tuple[float, ...]


def _values(least: float) -> fields.Rule:
    is_known = fields.number(least).is_good
    is_good = fields.list_of(lambda value: value is None or is_known(value))
    return fields.Rule(is_good, "give a list of positive numbers, null if not known")


def _rows(rows: Any) -> dict[Shares, tuple[float, ...]]:
    """Values by shares."""
    if not isinstance(rows, list):
        raise ValueError(f"give rows of {A_ROW}")
    found: dict[Shares, tuple[float, ...]] = {}
    for row in rows:
        if not isinstance(row, list) or len(row) != WIDTH or not all(map(fields.is_number, row)):
            raise fields.refusal(None, f"{row!r} is no row of {A_ROW}", show=False)
        shares = tuple(round(float(share), 9) for share in row[: len(ROLES)])
        if shares in found:
            remedy = f"has two rows for the shares {shares}; leave one out"
            raise fields.refusal(None, remedy, show=False)
        found[shares] = tuple(row[len(ROLES) :])
    return found


Values = Annotated[tuple[float | None, ...], _values(0)]


class Expected(fields.Settings):
    """The section `expected` of a curve.

    Either one list per metric, in the order of the points, null where the paper has no value; or
    `mixes`: rows of the models' shares followed by FID, Inception Score and seconds, in any order.
    """

    fid: Values | None = None
    inception_score: Values | None = None
    precision: Values | None = None
    recall: Values | None = None
    seconds: Annotated[tuple[float | None, ...], _values(1e-9)] | None = None
    mixes: Annotated[dict[Shares, tuple[float, ...]], BeforeValidator(_rows)] | None = None
    error: fields.NotNegative = 0.0  # of reading its FID
    source: Annotated[str, fields.Rule(fields.is_a(str), "give a text")] = ""

    def of_points(self, points: Sequence[Shares]) -> tuple[dict[str, float], ...]:
        """What is known by metric, of every point; empty if nothing is.

        Args:
            points: shares of small, medium and large.

        Raises:
            ValidationError: lists or rows that are not those of the points.
        """
        columns = {name: getattr(self, name) for name in METRICS if getattr(self, name) is not None}
        if self.mixes is not None:
            for name in columns:
                remedy = "leave it out, or mixes beside it"
                raise fields.refusal(f"expected.{name}", remedy, show=False)
            for shares in points:
                if shares not in self.mixes:
                    remedy = f"has no row for the shares {shares}; add one"
                    raise fields.refusal("expected.mixes", remedy, show=False)
            rows = [self.mixes[shares] for shares in points]
            columns = dict(zip(OF_MIXES, zip(*rows, strict=True), strict=True))
        for name, values in columns.items():
            if len(values) != len(points):
                remedy = f"has {len(values)} values; give {len(points)}, one per point"
                raise fields.refusal(f"expected.{name}", remedy, show=False)
        return tuple(
            {name: values[i] for name, values in columns.items() if values[i] is not None}
            for i in range(len(points) if columns else 0)
        )
