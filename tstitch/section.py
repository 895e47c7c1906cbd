"""Reads one section of the configuration, checking every field once."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tstitch.errors import UserError


class Section:
    """A mapping of the configuration whose fields are taken by kind.

    Every reader raises UserError with the field's full name, its value and what is allowed.

    Args:
        values: the fields.
        path: dotted name of the section, for messages; empty for the whole configuration.
        fields: the names it may have; any other is refused at once.
    """

    def __init__(self, values: Any, path: str, fields: Sequence[str]) -> None:
        self._prefix = f"{path}." if path else ""
        if not isinstance(values, Mapping):
            raise UserError(f"{path}={values!r}: expected a section with {', '.join(fields)}")
        for name in values:
            if name not in fields:
                known = ", ".join(fields)
                raise UserError(f"{self._prefix}{name}: unknown key; choose one of {known}")
        for name in fields:
            if name not in values:
                raise UserError(f"{self._prefix}{name}: missing; give it a value")
        self._values = values

    def raw(self, name: str) -> Any:
        """The field as it stands."""
        return self._values[name]

    def refuse(self, name: str, allowed: str) -> UserError:
        """The error for a field; the caller raises it."""
        return UserError(f"{self._prefix}{name}={self._values[name]!r}: {allowed}")

    def integer(self, name: str, low: int, high: int | None = None) -> int:
        """A whole number in low..high."""
        value = self._values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not _inside(value, low, high):
            raise self.refuse(name, f"choose a whole number {_span(low, high)}")
        return value

    def number(self, name: str, low: float, high: float | None = None) -> float:
        """A finite number in low..high."""
        value = self._values[name]
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or not _inside(value, low, high):
            raise self.refuse(name, f"choose a number {_span(low, high)}")
        return float(value)

    def flag(self, name: str) -> bool:
        """true or false."""
        value = self._values[name]
        if not isinstance(value, bool):
            raise self.refuse(name, "choose true or false")
        return value

    def text(self, name: str) -> str:
        """A non-empty string."""
        value = self._values[name]
        if not isinstance(value, str) or not value:
            raise self.refuse(name, "give a non-empty text")
        return value

    def choice(self, name: str, options: Sequence[str]) -> str:
        """One of the options."""
        value = self._values[name]
        if value not in options:
            raise self.refuse(name, f"choose one of {', '.join(options)}")
        return value

    def integers(self, name: str, low: int, high: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers in low..high."""
        value = self._values[name]
        good = isinstance(value, Sequence) and not isinstance(value, str)
        if not good or not all(
            isinstance(v, int) and not isinstance(v, bool) and _inside(v, low, high) for v in value
        ):
            raise self.refuse(name, f"give a list of whole numbers {_span(low, high)}")
        return tuple(value)


def _inside(value: float, low: float, high: float | None) -> bool:
    return value >= low and (high is None or value <= high)


def _span(low: float, high: float | None) -> str:
    return f"of at least {low}" if high is None else f"from {low} to {high}"
