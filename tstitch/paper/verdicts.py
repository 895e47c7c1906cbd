"""Judges the paper's claims by what was measured; claims.yaml says what each verdict asks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tstitch.paper.figures import FigureData
from tstitch.paper.verdicts_curves import CURVE_TESTS, Answer, Untestable
from tstitch.paper.verdicts_probes import PROBE_TESTS

HOLDS, FAILS, UNTESTED, UNRESOLVED = "holds", "does not hold", "not tested", "not resolved"
TESTS: Mapping[str, Callable[..., Answer]] = CURVE_TESTS | PROBE_TESTS


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


def read_claims() -> list[Claim]:
    """All claims, in order."""
    entries: list[dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("claims.yaml").read_text()
    )
    return [Claim(**entry) for entry in entries]


def judge(claim: Claim, data: Mapping[str, FigureData], missing: Mapping[str, str]) -> Finding:
    """The verdict on one claim.

    Args:
        data: what was measured, by figure.
        missing: why a figure could not be measured.
    """
    if claim.untested:
        return Finding(claim, UNTESTED, claim.untested)
    for name in claim.sources:
        if name not in data:
            return Finding(claim, UNTESTED, missing.get(name, f"run paper={name}"))
    try:
        answer, numbers = TESTS[claim.id](*(data[name] for name in claim.sources))
    except Untestable as reason:
        return Finding(claim, UNTESTED, str(reason))
    return Finding(claim, {True: HOLDS, False: FAILS, None: UNRESOLVED}[answer], numbers)
