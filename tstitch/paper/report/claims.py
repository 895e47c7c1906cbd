"""Judges the paper's claims by what was measured; claims.yaml says what each verdict asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.report.answers import Untestable
from tstitch.runtime.errors import UserError

T_STITCH = "T-Stitch"
HOLDS, FAILS, UNTESTED, UNRESOLVED = "holds", "does not hold", "not tested", "not resolved"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the paper, as claims.yaml has it."""

    id: str
    statement: str
    paper: str
    test: str = ""
    figure: str = ""
    figures: list[str] = field(default_factory=list)
    untested: str = ""
    remark: str = ""
    method: str = T_STITCH  # whose paper it is of

    @property
    def sources(self) -> list[str]:
        """Figures that it is judged by."""
        return self.figures or ([self.figure] if self.figure else [])


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a claim."""

    claim: Claim
    status: str
    numbers: str


class Outcome(NamedTuple):
    """All that a report tells."""

    figure: Figure  # that was asked for
    figures: Sequence[Figure]  # its members, or it alone
    data: Mapping[str, FigureData]  # of those that were measured, by name
    missing: Mapping[str, str]  # why others were not
    findings: Sequence[Finding]
    settings: Reproduction
    folder: Path  # of the pictures; the report is FOLDER.md
    beside: Mapping[str, str]  # verdicts of another ledger by claim, if they are to stand beside


def read_claims() -> list[Claim]:
    """All claims, in order."""
    entries: list[dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("claims.yaml").read_text()
    )
    return [Claim(**entry) for entry in entries]


def claims_of(figure: Figure) -> list[Claim]:
    """The claims that a figure names, each judged by it alone; for a ledger all of T-Stitch, and
    those of others that its members judge."""
    if figure.members:
        own = set(figure.members)
        return [c for c in read_claims() if c.method == T_STITCH or own & set(c.sources)]
    named = [claim for claim in read_claims() if claim.id in figure.claims]
    return [replace(claim, figures=[], figure=figure.name) for claim in named]


def check_claims(figure: Figure) -> None:
    """Refuses a figure that names claims which it is no source of.

    Raises:
        UserError: the first one.
    """
    known = [claim.id for claim in read_claims() if figure.name in claim.sources]
    for claim in figure.claims:
        if claim not in known:
            raise UserError(
                f"paper.claims: {claim} is not judged by {figure.name}; choose out of "
                f"[{', '.join(known)}]"
            )


def judge(claim: Claim, data: Mapping[str, FigureData], missing: Mapping[str, str]) -> Finding:
    """The verdict on one claim, by the test that the kind of its figures has for it."""
    if claim.untested:
        return Finding(claim, UNTESTED, claim.untested)
    for name in claim.sources:
        if name not in data:
            return Finding(claim, UNTESTED, missing.get(name, f"run paper={name}"))
    try:
        figures = [data[name] for name in claim.sources]
        answer, numbers = figures[0].figure.claim_tests[claim.id](*figures)
    except Untestable as reason:
        return Finding(claim, UNTESTED, str(reason))
    return Finding(claim, {True: HOLDS, False: FAILS, None: UNRESOLVED}[answer], numbers)
