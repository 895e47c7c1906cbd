"""A table of texts, and its form in Markdown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A header and rows of as many texts each."""

    header: list[str]
    rows: list[list[str]]


def table_lines(table: Table, numbers: bool = True, labels: bool = True) -> list[str]:
    """A table in Markdown; numbers are set to the right, texts to the left.

    Args:
        numbers: what the columns hold, but for the first one.
        labels: whether the first one holds texts.
    """
    right = [not labels, *[numbers] * (len(table.header) - 1)]
    rule = "|" + "|".join("--:" if column else "---" for column in right) + "|"
    rows = ["| " + " | ".join(map(plain, row)) + " |" for row in [table.header, *table.rows]]
    return [rows[0], rule, *rows[1:]]


def plain(text: str) -> str:
    """Text that Markdown takes for text, on one line; brackets of intervals stay as they are."""
    for mark in ("\\", "`", "*", "<", "|", "]("):
        text = text.replace(mark, f"\\{mark}" if mark != "](" else "]\\(")
    return " ".join(text.split())
