"""The ledger: every claim with our result and verdict, as one Markdown file with pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.machine import versions
from evaluation.markdown import table_lines
from evaluation.tables import Table
from tstitch.files import write_text
from tstitch.options import figure_section
from tstitch.paper.compare import TOLERANCE
from tstitch.paper.figure_settings import Figure
from tstitch.paper.figures import FigureData
from tstitch.paper.report import (
    comparison_lines,
    own_lines,
    protocol_lines,
    resolution,
    save_picture,
)
from tstitch.paper.settings import Reproduction
from tstitch.paper.verdicts import Finding

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


def write_ledger(
    figures: Sequence[Figure],
    data: Mapping[str, FigureData],
    findings: Sequence[Finding],
    missing: Mapping[str, str],
    told: Reproduction,
) -> Path:
    """Writes REPORT.md, and the pictures into REPORT/.

    Returns:
        The path of the Markdown file.
    """
    folder = Path(told.report)
    folder.mkdir(parents=True, exist_ok=True)
    shown = HEAD.format(command=_command(told), scale=told.scale.name, models=_models(told))
    lines = [shown]
    lines += table_lines(
        Table(
            ["claim", "statement", "verdict"],
            [[f.claim.id, f.claim.statement, f.status] for f in findings],
        ),
        numbers=False,
    )
    lines += ["", "## The figures", "", *table_lines(_budgets(figures, data, missing))]
    lines += ["", READING, TOLERANCE, ""]
    for figure in figures:
        own = [f for f in findings if f.claim.sources and f.claim.sources[-1] == figure.name]
        lines += _section(figure, data.get(figure.name), own, folder, told)
    shown = {figure.name for figure in figures}
    untested = [f for f in findings if not shown & set(f.claim.sources)]
    lines += ["## Not tested", ""]
    lines += [f"- **{f.claim.id}** {f.claim.statement} Not tested: {f.numbers}." for f in untested]
    lines += [
        "",
        *_notes(),
        "",
        f"Versions: {', '.join(f'{k} {v}' for k, v in versions().items())}.",
    ]
    path = folder.with_name(f"{folder.name}.md")
    write_text(path, "\n".join(lines) + "\n")
    return path


def _line(figure: Figure, told: Reproduction) -> str:
    scale = "" if told.scale.name == "miniature" else f" scale={told.scale.name}"
    return f"torchrun --nproc_per_node=2 scripts/reproduce.py paper={figure.name}{scale}"


def _command(told: Reproduction) -> str:
    """The command line, with what was not left as it is."""
    words = ["scripts/reproduce.py paper=ledger"]
    words += [] if told.scale.name == "miniature" else [f"scale={told.scale.name}"]
    words += [] if told.images is None else [f"images={told.images}"]
    words += [f"weights.{role}={source}" for role, source in told.weights.items()]
    for name in ("overrides", "training"):
        if values := getattr(told, name):
            words.append(f"{name}=[{','.join(values)}]")
    if told.figure.members != tuple(figure_section("ledger")["members"]):
        words.append(f"paper.members=[{','.join(told.figure.members)}]")
    return " ".join(words)


def _models(told: Reproduction) -> str:
    if told.scale.name == "miniature":
        return (
            "The models are the shipped ones (Fashion-MNIST, 0.45, 1.28 and 5.03 M parameters).\n"
            "FID, precision and recall are those of the features of the shipped Fashion-MNIST\n"
            "classifier, not Inception's: they cannot be compared with the paper's, and depend on\n"
            "the number of images."
        )
    return f"The models are those of pair {told.scale.pairs['small', 'medium', 'large']}."


def _budgets(
    figures: Sequence[Figure], data: Mapping[str, FigureData], missing: Mapping[str, str]
) -> Table:
    rows = []
    for figure in figures:
        own = data.get(figure.name)
        counts = sorted({r.spot.images for r in own.results}) if own else []
        reach = resolution(own.results) if own else None
        rows.append([
            f"paper={figure.name}",
            figure.about if own else f"not run: {missing.get(figure.name, '')}",
            str(len(own.results)) if own else "-",
            ", ".join(map(str, counts)) or "-",
            "-" if reach is None else f"{reach:.2g}",
            "-" if figure.minutes is None else f"{figure.minutes:g}",
        ])  # fmt: skip
    return Table(["command", "scale", "points", "images each", "resolves", "minutes"], rows)


def _section(
    figure: Figure,
    data: FigureData | None,
    findings: Sequence[Finding],
    folder: Path,
    told: Reproduction,
) -> list[str]:
    lines = [f"## {figure.title}", "", f"`{_line(figure, told)}` ({figure.about})", ""]
    picture = save_picture(data, folder) if data else None
    if picture:
        lines += [f"![{figure.title}]({folder.name}/{picture})", ""]
    if data:
        lines += [*protocol_lines(data)[:-1], ""]
        lines += [line.replace("## ", "### ") for line in own_lines(data)]
        lines += [line.replace("## ", "### ") for line in comparison_lines(data.results)]
    for finding in findings:
        claim = finding.claim
        lines += [
            f"**{claim.id}: {finding.status}.** {claim.statement}",
            "",
            f"- Paper: {claim.paper}.",
            f"- Test: {claim.test}.",
            f"- Ours: {finding.numbers}.",
            *([f"- Note: {claim.remark}"] if claim.remark else []),
            "",
        ]
    return lines


def _notes() -> list[str]:
    """What a reader of the paper and its release must know to repeat it."""
    return (Path(__file__).with_name("notes.md").read_text()).splitlines()
