"""All figures in one report, with a verdict on every claim of the paper."""

from dataclasses import dataclass
from typing import ClassVar

from tstitch.config.section import Section
from tstitch.paper.figure.base import Figure


@dataclass(frozen=True, kw_only=True)
class LedgerFigure(Figure):
    """Gathers other figures, and measures nothing itself."""

    kind: ClassVar = "ledger"

    @classmethod
    def parse_members(cls, head: Section) -> tuple[str, ...]:
        members = head.texts("members")
        if cls.kind in members:
            raise head.refuse("members", f"leave out {cls.kind} itself")
        return head.distinct("members", members)
