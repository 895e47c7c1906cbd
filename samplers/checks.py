"""Checks of constructor values; each failure is one line: name=value, then what is allowed."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard


def is_integer(value: object) -> TypeGuard[int]:
    """Whether the value is a plain integer: no bool, no integral float."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether the value is a finite int or float: no bool, NaN, infinity or string."""
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """Return an integer in low..high; raise ValueError otherwise."""
    if not is_integer(value) or not low <= value <= high:
        raise ValueError(f"{name}={value!r}: choose an integer from {low} to {high}")
    return value


def check_number(name: str, value: object, low: float, high: float) -> float:
    """Return a finite number in [low, high] as a float; raise ValueError otherwise."""
    if not is_number(value) or not low <= value <= high:
        raise ValueError(f"{name}={value!r}: choose a number from {low} to {high}")
    return float(value)


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Return one of the choices; raise ValueError otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={value}: choose {' or '.join(choices)}")
    return value


def check_list(name: str, value: object, allowed: str) -> list[Any]:
    """Return a list (or tuple, or any other sequence but a string) as a list."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise ValueError(f"{name}={value!r}: choose {allowed}")
    return list(value)
