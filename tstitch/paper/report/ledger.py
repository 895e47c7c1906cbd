"""The ledger: every claim with our result and verdict, as one Markdown file with pictures."""

import re
from pathlib import Path

from evaluation.cost.machine import versions
from evaluation.report.table import Table, table_lines
from tstitch.config.groups import figure_section
from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.settings import USUAL, Reproduction
from tstitch.paper.report.claims import Outcome
from tstitch.paper.report.compare import TOLERANCE
from tstitch.paper.report.document import comparison_lines, protocol_lines, resolution, save_picture
from tstitch.runtime.errors import UserError

VERDICT = re.compile(r"^\| ([CT]\d+) \| [^|]* \| ([^|]*?) \|", re.MULTILINE)
HEAD = """# The claims of the paper

Every claim of T-Stitch (arXiv 2402.14167 v1): those about DiTs as `scripts/reproduce.py` measures
them, the others listed as not tested. Made by `{command}`; do not edit.

Scale: **{scale}**. {models}

Every point is a run directory; all points of a comparison share noise and labels, differences are
paired, intervals are 95 % (delete-a-group jackknife over images, for one set of trained models and
one reference; not corrected for the number of comparisons). A verdict is what its test says, no
more: the claims of the paper are about other models, and one that fails here may hold there.
"""
READING = (
    "Resolves: the difference of FID that can be told from nothing, the median half width of "
    "paired intervals up to fraction 0.5. Minutes: on 2 cores, alone; figures share points. The "
    "same commands with `scale=full` run the paper's protocol; what is expected there stands under "
    "Paper, and point by point in configs/paper/. The tolerance:"
)


def render_ledger(outcome: Outcome) -> str:
    """The Markdown of all figures; their pictures go into the folder."""
    figures, findings, settings = outcome.figures, outcome.findings, outcome.settings
    command = _command(outcome.figure, settings)
    lines = [HEAD.format(command=command, scale=settings.scale.label, models=_models(settings))]
    lines += table_lines(_verdicts(outcome), numbers=False)
    lines += ["", "## The figures", "", *table_lines(_budgets(outcome))]
    lines += ["", READING, TOLERANCE, ""]
    for figure in figures:
        lines += _section(figure, outcome)
    shown = {figure.name for figure in figures}
    untested = [f for f in findings if not shown & set(f.claim.sources)]
    lines += ["## Not tested", ""]
    lines += [f"- **{f.claim.id}** {f.claim.statement} Not tested: {f.numbers}." for f in untested]
    # What a reader of the paper and its release must know to repeat it.
    lines += ["", *Path(__file__).with_name("notes.md").read_text().splitlines(), ""]
    lines.append(f"Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}.")
    return "\n".join(lines) + "\n"


def _line(figure: Figure, settings: Reproduction) -> str:
    command = "torchrun --nproc_per_node=2 scripts/reproduce.py"
    return f"{command} paper={figure.name}{settings.scale.words}"


def _command(ledger: Figure, settings: Reproduction) -> str:
    """The command line, with what was not left as it is."""
    words = [f"scripts/reproduce.py paper=ledger{settings.scale.words}"]
    words += [] if settings.images is None else [f"images={settings.images}"]
    words += [f"weights.{role}={source}" for role, source in settings.weights.items()]
    words += [] if settings.beside is None else [f"beside={settings.beside}"]
    for name in ("overrides", "training"):
        if values := getattr(settings, name):
            words.append(f"{name}=[{','.join(values)}]")
    if ledger.members != tuple(figure_section("ledger")["members"]):
        words.append(f"paper.members=[{','.join(ledger.members)}]")
    return " ".join(words)


def _models(settings: Reproduction) -> str:
    scale = settings.scale
    return scale.about or f"The models are those of pair {scale.pairs[scale.roles]}."


def read_verdicts(report: str | None) -> dict[str, str]:
    """The verdicts in a ledger's report, by claim; none of no report.

    Raises:
        UserError: no report of a ledger.
    """
    if report is None:
        return {}
    try:
        rows = VERDICT.findall(Path(report).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(f"beside={report}: cannot be read ({reason}); check the path") from error
    if not rows:
        raise UserError(f"beside={report}: has no verdicts; give the .md of paper=ledger")
    return dict(reversed(rows))  # the first of each: further tables below may be of other models


def _verdicts(outcome: Outcome) -> Table:
    """Every claim, its verdict, and that of the report beside, which is named by its file."""
    rows = [[f.claim.id, f.claim.statement, f.status] for f in outcome.findings]
    header = ["claim", "statement", "verdict"]
    if outcome.settings.beside is not None:
        header.append(f"in {Path(outcome.settings.beside).name}")
        rows = [[*row, outcome.beside.get(row[0], "-")] for row in rows]
    return Table(header, rows)


def _budgets(outcome: Outcome) -> Table:
    rows = []
    for figure in outcome.figures:
        own = outcome.data.get(figure.name)
        counts = sorted({r.point.images for r in own.results}) if own else []
        reach = resolution(own.results) if own else None
        rows.append([
            f"paper={figure.name}",
            figure.about if own else f"not run: {outcome.missing.get(figure.name, '')}",
            str(len(own.results)) if own else "-",
            ", ".join(map(str, counts)) or "-",
            "-" if reach is None else f"{reach:.2g}",
            "-" if figure.minutes is None else f"{figure.minutes:g}",
        ])  # fmt: skip
    return Table(["command", "scale", "points", "images each", "resolves", "minutes"], rows)


def _section(figure: Figure, outcome: Outcome) -> list[str]:
    lines = [f"## {figure.title}", "", f"`{_line(figure, outcome.settings)}` ({figure.about})", ""]
    data = outcome.data.get(figure.name)
    if data:
        if picture := save_picture(data, outcome.folder):
            lines += [picture, ""]
        lines += [*protocol_lines(data)[:-1], ""]
        lines += [line.replace("## ", "### ") for line in data.figure.tables(data)]
        lines += [line.replace("## ", "### ") for line in comparison_lines(data.results)]
    remarked = outcome.settings.scale.miniature == USUAL  # remarks are on its models
    for finding in outcome.findings:
        claim = finding.claim
        if claim.sources[-1:] != [figure.name]:
            continue
        lines += [
            f"**{claim.id}: {finding.status}.** {claim.statement}",
            "",
            f"- Paper: {claim.paper}.",
            f"- Test: {claim.test}.",
            f"- Ours: {finding.numbers}.",
            *([f"- Note: {claim.remark}"] if remarked and claim.remark else []),
            "",
        ]
    return lines
