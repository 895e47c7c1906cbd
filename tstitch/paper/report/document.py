"""The report of a figure: verdicts, budget, the paper's values beside ours, tables, a picture."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from evaluation.cost.machine import versions
from evaluation.report.points import metric_names
from evaluation.report.speed import comparable_times
from evaluation.report.table import Table, table_lines
from evaluation.report.tables import interval, result_table
from tstitch.files.pictures import save_figure
from tstitch.paper.figure.base import FigureData
from tstitch.paper.figure.measure import Result
from tstitch.paper.report.claims import Finding, Outcome
from tstitch.paper.report.compare import COUNT, TOLERANCE, compare_with_paper

LISTED = 12  # classes at most


def render_report(outcome: Outcome) -> str:
    """The Markdown of one figure; its picture goes into the folder."""
    figure, findings, folder = outcome.figure, outcome.findings, outcome.folder
    scale, data = outcome.settings.scale.label, outcome.data[outcome.figure.name]
    lines = [f"# {figure.title}", "", f"Scale: {scale} ({figure.about})."]
    if figure.minutes:
        lines[-1] += f" Budget: about {figure.minutes:g} minutes on 2 cores."
    lines += ["", *verdict_lines(findings), *figure.conclusions(data)]
    if picture := save_picture(data, folder):
        lines += ["", picture]
    lines += ["", *figure.tables(data), *comparison_lines(data.results), *point_lines(data)]
    lines += ["", "## Protocol", "", *protocol_lines(data)]
    return "\n".join(lines) + "\n"


def save_picture(data: FigureData, folder: Path) -> str:
    """NAME.png and NAME.pdf of each picture in a folder; Markdown of them, empty without any."""
    figure, shown = data.figure, []
    for name, picture in figure.pictures(data).items():
        folder.mkdir(parents=True, exist_ok=True)
        save_figure(picture, folder / name)
        shown.append(f"![{figure.title}]({folder.name}/{name}.png)")
    return "\n\n".join(shown)


def verdict_lines(findings: Sequence[Finding]) -> list[str]:
    """One line per claim."""
    return [
        f"- **{f.claim.id} {f.status}**: {f.claim.statement} Ours: {f.numbers}." for f in findings
    ]


def resolution(results: Sequence[Result]) -> float | None:
    """The difference of FID that can be told from nothing: median half width up to 0.5."""
    halves = [
        (d.high - d.low) / 2
        for r in results
        if r.measured and r.point.fraction <= 0.5 and (d := r.measured.differences.get("fid"))
    ]
    return median(halves) if halves else None


def comparison_lines(results: Sequence[Result]) -> list[str]:
    """The paper's FID beside ours, and which points lie outside the tolerance."""
    found = compare_with_paper(results)
    if not found:
        return _not_compared(results)
    outside = [c for c in found if not c.inside]
    named = "; ".join(f"{c.result.point.planned.series}, {_short(c.result)}" for c in outside)
    rows = [
        [c.result.point.planned.series, _short(c.result), f"{c.paper:g}",
         interval(c.ours.value, c.ours.low, c.ours.high), f"{c.ours.value - c.paper:+.2f}",
         f"{c.tolerance:.2f}", "" if c.inside else "outside"]
        for c in found
    ]  # fmt: skip
    header = ["protocol", "schedule", "FID, paper", "FID, ours", "difference", "tolerance", ""]
    head = f"{len(outside)} of {len(found)} points lie outside the tolerance"
    return [
        "## Beside the paper", "", f"{head}{': ' + named if named else ''}. {TOLERANCE}", "",
        *table_lines(Table(header, rows)), "", *_other_values(results),
    ]  # fmt: skip


def _not_compared(results: Sequence[Result]) -> list[str]:
    """Why there is nothing beside the paper's values, where it has some."""
    counts = {r.point.images for r in results if "fid" in r.point.expected}
    if not counts:
        return []
    shown = ", ".join(f"{count:,}" for count in sorted(counts))
    return [
        "## Beside the paper", "",
        f"Not compared: FID depends on the number of images, {shown} here and {COUNT:,} there.", "",
    ]  # fmt: skip


def _other_values(results: Sequence[Result]) -> list[str]:
    """What the paper gives besides FID, beside ours; no tolerance is known."""
    rows = [
        [r.point.planned.series, _short(r), entry.name, f"{paper:g}", f"{entry.value:.4g}"]
        for r in results
        for metric, paper in r.point.expected.items()
        if metric != "fid" and (entry := r.metrics.get(metric))
    ]
    header = ["protocol", "schedule", "metric", "paper", "ours"]
    return [*table_lines(Table(header, rows)), ""] if rows else []


def point_lines(data: FigureData) -> list[str]:
    """Tables of all points, one per protocol."""
    lines: list[str] = []
    if not data.results or data.results[0].measured is None:
        return lines
    # Points of different numbers of images are in tables of their own.
    for images in dict.fromkeys(r.point.images for r in data.results):
        measured = [r.measurement for r in data.results if r.point.images == images]
        names = metric_names(measured)
        points, notes = comparable_times(measured, "paper=fig1 measures its fractions in turn")
        for series in dict.fromkeys(point.series for point in points):
            table = result_table(points, series, names)
            lines += [f"## {series}, {images} images", "", *table_lines(table), ""]
        lines += [text for note in notes for text in (f"Note: {note}", "")]
    reach = resolution(data.results) if data.figure.resolves else None
    if reach is not None:
        lines.append(f"Differences of FID of about {reach:.2g} can be told from nothing (median "
                     "half width of the paired 95 % intervals up to fraction 0.5).")  # fmt: skip
    return lines


def protocol_lines(data: FigureData) -> list[str]:
    """What all points share."""
    lines = []
    if data.results and (evaluation := data.results[0].run.evaluation):
        experiment, ran = data.results[0].point.experiment, data.results[0].run.metrics.protocol
        run, reference = experiment.run, evaluation.protocol.reference
        lines += [
            f"- pair: {experiment.name}; seed {run.seed}, classes {_some(run.classes)}, "
            f"{ran.dtype}, batch size {run.batch_size}, {', '.join(ran.devices)}",
            f"- reference: {reference.label} ({reference.num_images} images); "
            f"{evaluation.metrics['fid'].name}; intervals: paired delete-a-group jackknife, "
            f"{evaluation.groups} groups of image indices",
        ]
    if data.figure.looked_at:
        lines.append(f"- looked at: {data.figure.looked_at}")
    shown = ", ".join(f"{name} {version}" for name, version in versions().items())
    return [*lines, f"- versions: {shown}"]


def _some(classes: str | Sequence[int]) -> str:
    """`balanced`, or which of them; how many of a long list."""
    long = not isinstance(classes, str) and len(classes) > LISTED
    return f"{len(classes)} of a list" if long else str(classes)


def _short(result: Result) -> str:
    return result.point.planned.label + (
        f", {result.point.variant}" if result.point.variant else ""
    )
