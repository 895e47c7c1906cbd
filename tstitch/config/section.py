"""Reads one section of the configuration, checking every field once."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tstitch.runtime.errors import UserError

T = TypeVar("T")


def is_number(value: Any) -> bool:
    """Whether a value of the configuration is a number that a float can hold, and is finite."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and abs(value) <= sys.float_info.max


def _is_whole(value: Any) -> bool:
    """Whether a value of the configuration is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


class Section:
    """A mapping of the configuration whose fields are taken by kind.

    Every reader raises UserError with the field's full name, its value and what is allowed.

    Args:
        values: the fields.
        path: dotted name of the section, for messages; empty for the whole configuration.
        fields: the names it may have; any other is refused at once.
        defaults: values of fields that may be missing.
    """

    def __init__(
        self,
        values: Any,
        path: str,
        fields: Sequence[str],
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._prefix = f"{path}." if path else ""
        if not isinstance(values, Mapping):
            raise UserError(f"{path}={values!r}: expected a section with {', '.join(fields)}")
        for name in values:
            if name not in fields:
                known = ", ".join(map(str, fields))
                raise UserError(f"{self._prefix}{name}: unknown key; choose one of {known}")
        self._values = {**(defaults or {}), **values}
        for name in fields:
            if name not in self._values:
                raise UserError(f"{self._prefix}{name}: missing; give it a value")

    def raw(self, name: str) -> Any:
        """The field as it stands."""
        return self._values[name]

    def refuse(self, name: str, allowed: str) -> UserError:
        """The error for a field; the caller raises it."""
        return UserError(f"{self._prefix}{name}={self._values[name]!r}: {allowed}")

    def integer(self, name: str, low: int, high: int | None = None) -> int:
        """A whole number in low..high."""
        value = self._values[name]
        if not _is_whole(value) or not _inside(value, low, high):
            raise self.refuse(name, f"choose a whole number {_span(low, high)}")
        return value

    def number(self, name: str, low: float, high: float | None = None) -> float:
        """A finite number in low..high."""
        value = self._values[name]
        if not is_number(value) or not _inside(value, low, high):
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
            quoted = f"; what looks like a number in quotes, '{self._prefix}{name}=\"1.5\"'"
            hint = quoted if isinstance(value, bool | int | float) else ""
            raise self.refuse(name, f"give a non-empty text{hint}")
        return value

    def path(self, name: str) -> str:
        """A path, whatever the file system takes; `~/` at its beginning is the home directory.

        A whole number is one, too, as in run.dir=2024.
        """
        value = self._values[name]
        value = str(value) if _is_whole(value) else self.text(name)
        if len(value.splitlines()) > 1 or "\0" in value or not _is_encodable(value):
            raise self.refuse(name, "give a path of one line in UTF-8")
        return os.path.expanduser(value)

    def choice(self, name: str, options: Sequence[str]) -> str:
        """One of the options."""
        value = self._values[name]
        if value not in options:
            raise self.refuse(name, f"choose one of {', '.join(options)}")
        return value

    def integers(self, name: str, low: int, high: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers in low..high."""
        value = self._list(name)
        if value is None or not all(_is_whole(v) and _inside(v, low, high) for v in value):
            raise self.refuse(name, f"give a list of whole numbers {_span(low, high)}")
        return value

    def numbers(self, name: str, low: float, high: float | None = None) -> tuple[float, ...]:
        """A list of finite numbers in low..high."""
        value = self._list(name)
        if value is None or not all(is_number(v) and _inside(v, low, high) for v in value):
            raise self.refuse(name, f"give a list of numbers {_span(low, high)}")
        return tuple(float(v) for v in value)

    def texts(self, name: str, options: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of strings, out of the options if there are any."""
        value = self._list(name)
        known = "" if options is None else f" out of {', '.join(options)}"
        if value is None or not all(
            isinstance(v, str) and (options is None or v in options) for v in value
        ):
            raise self.refuse(name, f"give a list of names{known}")
        return value

    def words(self, name: str, example: str) -> tuple[str, ...]:
        """A list of overrides of a command line."""
        value = self._list(name)
        if value is None or not all(isinstance(v, str) for v in value):
            raise self.refuse(name, f"give quoted overrides, \"{name}=['{example}']\"")
        return value

    def distinct(self, name: str, values: tuple[T, ...]) -> tuple[T, ...]:
        """The values of a list field, which are refused if there are none or one comes twice."""
        if not values or len(set(values)) < len(values):
            raise self.refuse(name, "give at least one value, and each once")
        return values

    def _list(self, name: str) -> tuple[Any, ...] | None:
        value = self._values[name]
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        return tuple(value) if listed else None


def _is_encodable(text: str) -> bool:
    """False for names in another encoding, which no file of ours could mention."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inside(value: float, low: float, high: float | None) -> bool:
    return value >= low and (high is None or value <= high)


def _span(low: float, high: float | None) -> str:
    return f"of at least {low}" if high is None else f"from {low} to {high}"
