"""The paper's values of a curve."""

from collections.abc import Sequence
from typing import Annotated, Any

from tstitch.validation import (
    NotNegative,
    Rule,
    Settings,
    is_number,
    is_text,
    list_of,
    number,
    refusal,
)

METRICS = ("fid", "inception_score", "precision", "recall", "seconds")
OF_MIXES = ("fid", "inception_score", "seconds")  # in rows of `mixes`


def _values(least: float) -> Rule:
    is_known = number(least).is_good
    is_good = list_of(lambda value: value is None or is_known(value))
    return Rule(is_good, "give a list of positive numbers, null if not known")


Values = Annotated[tuple[float | None, ...], _values(0)] | None
Seconds = Annotated[tuple[float | None, ...], _values(1e-9)] | None


class Expected(Settings):
    """The section `expected` of a curve.

    Either one list per metric, in the order of the points, null where the paper has no value; or
    `mixes`: rows of the models' shares followed by FID, Inception Score and seconds, in any order.
    """

    fid: Values = None
    inception_score: Values = None
    precision: Values = None
    recall: Values = None
    seconds: Seconds = None
    mixes: Any = None
    error: NotNegative = 0.0  # of reading its FID
    source: Annotated[str, Rule(is_text, "give a text")] = ""

    def of_points(
        self, points: Sequence[tuple[float, ...]], models: Sequence[str]
    ) -> tuple[dict[str, float], ...]:
        """What is known by metric, of every point; empty if nothing is.

        Args:
            points: shares of the models, of every point.
            models: their names.

        Raises:
            ValidationError: lists or rows that are not those of the points.
        """
        columns = {name: getattr(self, name) for name in METRICS}
        columns = {name: values for name, values in columns.items() if values is not None}
        if self.mixes is not None:
            for name in columns:
                raise refusal(f"expected.{name}", "leave it out, or mixes beside it", show=False)
            columns = self._columns(points, models)
        for name, values in columns.items():
            if len(values) != len(points):
                remedy = f"has {len(values)} values; give {len(points)}, one per point"
                raise refusal(f"expected.{name}", remedy, show=False)
        known = {name: values for name, values in columns.items() if values}
        return tuple(
            {name: values[i] for name, values in known.items() if values[i] is not None}
            for i in range(len(points) if columns else 0)
        )

    def _columns(
        self, points: Sequence[tuple[float, ...]], models: Sequence[str]
    ) -> dict[str, list[float]]:
        rows = self._rows(models)
        for shares in points:
            if shares not in rows:
                remedy = f"has no row for the shares {shares}; add one"
                raise refusal("expected.mixes", remedy, show=False)
        return {n: [float(rows[shares][k]) for shares in points] for k, n in enumerate(OF_MIXES)}

    def _rows(self, models: Sequence[str]) -> dict[tuple[float, ...], list[float]]:
        """Values by shares."""
        width = len(models) + len(OF_MIXES)
        wanted = f"{width} numbers: shares of {', '.join(models)}, then {', '.join(OF_MIXES)}"
        if not isinstance(self.mixes, list):
            raise refusal("expected.mixes", f"give rows of {wanted}")
        found = {}
        for row in self.mixes:
            if not isinstance(row, list) or len(row) != width or not all(map(is_number, row)):
                raise refusal("expected.mixes", f"{row!r} is no row of {wanted}", show=False)
            shares = tuple(round(float(share), 9) for share in row[: len(models)])
            if shares in found:
                remedy = f"has two rows for the shares {shares}; leave one out"
                raise refusal("expected.mixes", remedy, show=False)
            found[shares] = row[len(models) :]
        return found
