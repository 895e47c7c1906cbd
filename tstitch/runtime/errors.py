"""The one exception that ends a run with a single line and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input. The message is one line: field, value and what to do about it."""


@contextmanager
def errors_of(section: str) -> Iterator[None]:
    """Puts the section before what a lower package refuses as `field=value: what to do`.

    Raises:
        UserError: for its ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(f"{section}.{error}") from error
