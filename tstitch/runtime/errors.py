"""The one exception that ends a run with a single line and exit code 2."""


class UserError(ValueError):
    """Bad input. The message is one line: field, value and what to do about it."""
