"""All figures in one report, with a verdict on every claim of the paper."""

from typing import ClassVar

from tstitch.config import fields
from tstitch.paper.figure.base import Figure


class LedgerFigure(Figure):
    """Gathers other figures, and measures nothing itself."""

    kind: ClassVar = "ledger"

    @classmethod
    def check_members(cls, members: tuple[str, ...]) -> None:
        if cls.kind in members:
            raise ValueError(f"leave out {cls.kind} itself")
        fields.EACH_ONCE(members)
