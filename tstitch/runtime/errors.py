"""The one exception that ends a run with a single line and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Bad input. The message is one line: field, value and what to do about it."""


@contextmanager
def errors_of(before: str, kind: type[ValueError] = ValueError) -> Iterator[None]:
    """Puts a section or field before what a lower package refuses, as `value: what to do`.

    Args:
        before: `pair.space.`, `train.init: `, or empty where the message names its field.
        kind: of the errors meant.

    Raises:
        UserError: for such an error of the block.
    """
    try:
        yield
    except kind as error:
        raise UserError(f"{before}{error}") from error
