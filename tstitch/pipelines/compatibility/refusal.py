"""How a difference between two networks is refused: one line with both values."""

from typing import Any

from tstitch.runtime.errors import UserError


def refuse_other(field: str, small: Any, large: Any, remedy: str) -> None:
    """Refuses values that are not the same.

    Args:
        field: whose values they are, of both networks or pipelines.
        remedy: what the difference means, and what to give instead.

    Raises:
        UserError: they differ.
    """
    if small != large:
        raise UserError(f"{field}={plain(small)}: the large one has {plain(large)}; {remedy}")


def plain(value: Any) -> str:
    """In one line and not at length."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
