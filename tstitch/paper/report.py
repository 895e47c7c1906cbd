"""report of a figure: verdicts, budget, the paper's values beside ours, tables and a picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from evaluation.cost.machine import versions
from evaluation.report.panels import draw_panels
from evaluation.report.points import metric_names
from evaluation.report.speed import above_arithmetic, comparable_times
from evaluation.report.table import Table, table_lines
from evaluation.report.tables import interval, result_table
from tstitch.files import write_text
from tstitch.finish import METRICS
from tstitch.paper.compare import COUNT, TOLERANCE, compare_with_paper
from tstitch.paper.curve_settings import ROLES
from tstitch.paper.figures import FigureData
from tstitch.paper.measure import Result
from tstitch.paper.pictures import panels_of
from tstitch.paper.settings import Reproduction
from tstitch.paper.verdicts import Finding
from tstitch.pictures import save_figure


def write_report(data: FigureData, findings: Sequence[Finding], told: Reproduction) -> Path:
    """Writes REPORT.md, and its picture into REPORT/.

    Returns:
        The path of the Markdown file.
    """
    folder = Path(told.report)
    picture = save_picture(data, folder)
    lines = [f"# {data.figure.title}", "", f"Scale: {told.scale.name} ({data.figure.about})."]
    if data.figure.minutes:
        lines[-1] += f" Budget: about {data.figure.minutes:g} minutes on 2 cores."
    lines += ["", *verdict_lines(findings)]
    if picture:
        lines += ["", f"![{data.figure.title}]({folder.name}/{picture})"]
    lines += ["", *own_lines(data), *comparison_lines(data.results), *point_lines(data)]
    lines += ["", "## Protocol", "", *protocol_lines(data)]
    path = folder.with_name(f"{folder.name}.md")
    write_text(path, "\n".join(lines) + "\n")
    return path


def save_picture(data: FigureData, folder: Path) -> str | None:
    """NAME.png and NAME.pdf in a folder; the file's name, None if there is nothing to draw."""
    panels = panels_of(data)
    if not panels:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    columns = 2 if data.figure.kind == "similarity" else 3
    save_figure(draw_panels(panels, columns), folder / data.figure.name)
    return f"{data.figure.name}.png"


def verdict_lines(findings: Sequence[Finding]) -> list[str]:
    """One line per claim."""
    lines = []
    for finding in findings:
        claim = finding.claim
        lines.append(
            f"- **{claim.id} {finding.status}**: {claim.statement} Ours: {finding.numbers}."
        )
    return lines


def resolution(results: Sequence[Result]) -> float | None:
    """The difference of FID that can be told from nothing: median half width up to 0.5."""
    halves = [
        (d.high - d.low) / 2
        for r in results
        if r.point and r.spot.fraction <= 0.5 and (d := r.point.differences.get("fid"))
    ]
    return median(halves) if halves else None


def own_lines(data: FigureData) -> list[str]:
    """The table of what has no run directory."""
    extra = data.extra
    if "timing" in extra:
        timing = extra["timing"]
        theirs = _published_times(data)
        whole = theirs.get(0.0)
        rows = [
            [f"{f:g}", *(f"{1e3 * s / timing['batch_size']:.1f}" for s in seconds),
             _speed(timing["seconds"][0][0] / seconds[0], _fewer_flops(data).get(f)),
             f"{whole / theirs[f]:.2f}x" if whole and f in theirs else "-"]
            for f, seconds in zip(timing["fractions"], timing["seconds"], strict=True)
        ]  # fmt: skip
        header = ["fraction", "ms / image, median", "least", "most", "speed-up", "paper's"]
        about = (
            f"Batches of {timing['batch_size']} images in one process on {timing['device']}, "
            f"{timing['threads']} thread{'s' * (timing['threads'] > 1)}; median, least and most of "
            f"{timing['rounds']} rounds in which all fractions take turns."
        )
        return ["## Time", "", about, "", *table_lines(Table(header, rows)), ""]
    if "rows" in extra and data.figure.kind == "footprint":
        rows = [
            [" + ".join(r["models"]), f"{r['parameters'] / 1e6:.2f}", _mega(r["storage_bytes"]),
             _mega(r["memory_bytes"]), *(_mega(end(r["memory_rounds"])) for end in (min, max))]
            for r in extra["rows"]
        ]  # fmt: skip
        header = ["models", "parameters (M)", "storage (MB)", "peak memory (MB)", "least", "most"]
        return ["## Memory and storage", "", *table_lines(Table(header, rows)), ""]
    if data.figure.kind == "predict":
        return prediction_lines(data)
    return []


def _fewer_flops(data: FigureData) -> dict[float, float]:
    """How many times fewer FLOPs than fraction 0, by fraction, of the figure's first row."""
    points = {r.spot.fraction: r.point for r in reversed(data.results) if r.point}
    if 0.0 not in points:
        return {}
    return {f: points[0.0].gmacs_per_image / p.gmacs_per_image for f, p in points.items()}


def _speed(ratio: float, flops: float | None) -> str:
    """The speed-up, or what it cannot be above."""
    if flops is not None and above_arithmetic(ratio, flops):
        return f"above the {flops:.2f}x of the FLOPs: measure again, on an idle machine"
    return f"{ratio:.2f}x"


def _published_times(data: FigureData) -> dict[float, float]:
    """Seconds of the paper by fraction, of the figure's first published curve."""
    if not data.figure.published:
        return {}
    curve = data.figure.published[0]
    place = ROLES.index(curve.models[-1])
    return {
        round(1 - shares[place], 9): values["seconds"]
        # Of several kinds or variants the first.
        for shares, values in zip(curve.shares, curve.expected.values, strict=False)
        if "seconds" in values
    }


def prediction_lines(data: FigureData) -> list[str]:
    """Measured and predicted safe fractions."""
    rows = []
    for row in data.extra["rows"]:
        cells = [row["protocol"]]
        if data.extra["check"]:
            cells.append(f"{row['safe']:.2f} [{row['safe_low']:.2f}, {row['safe_high']:.2f}]")
        for method in ("change", "similarity"):
            cells.append(f"{row[f'{method}_predicted']:.2f}")
            if data.extra["check"]:
                cells.append(f"{row[f'{method}_predicted'] - row['safe']:+.2f}")
        rows.append(cells)
    errors = ["off by"] if data.extra["check"] else []
    header = ["protocol", *(["measured safe fraction"] if errors else [])]
    header += ["by the change of the image", *errors, "by the similarity", *errors]
    others = bool(errors) and len(rows) > 1
    about = f"Estimates from {data.extra['images']} images" + (
        "; each sampler's threshold is the mean of what the others have at their measured safe "
        "fractions."
        if others
        else ", thresholds of the configuration."
    )
    if errors:
        about = f"Safe: FID rises by at most {data.extra['rise']:.0%} of FID(0). {about}"
    lines = ["## Safe fractions", "", about, "", *table_lines(Table(header, rows)), ""]
    if others:
        means = ", ".join(
            f"{name} {mean(row[f'{method}_threshold'] for row in data.extra['rows']):.3g}"
            for name, method in (("change", "change"), ("1 - cosine", "similarity"))
        )
        lines += [
            f"Thresholds, means over the samplers: {means}. All curves are of one pair; for "
            "another one these thresholds are a guess until they are checked.",
            "",
        ]
    return lines


def comparison_lines(results: Sequence[Result]) -> list[str]:
    """The paper's FID beside ours, and which points lie outside the tolerance."""
    found = compare_with_paper(results)
    if not found:
        return _not_compared(results)
    outside = [c for c in found if not c.inside]
    named = "; ".join(f"{c.result.spot.planned.series}, {_short(c.result)}" for c in outside)
    rows = [
        [c.result.spot.planned.series, _short(c.result), f"{c.paper:g}",
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
    counts = {r.spot.images for r in results if "fid" in r.spot.expected}
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
        [r.spot.planned.series, _short(r), entry["name"], f"{paper:g}", f"{entry['value']:.4g}"]
        for r in results
        for metric, paper in r.spot.expected.items()
        if metric != "fid" and (entry := r.evaluation["metrics"].get(metric))
    ]
    header = ["protocol", "schedule", "metric", "paper", "ours"]
    return [*table_lines(Table(header, rows)), ""] if rows else []


def point_lines(data: FigureData) -> list[str]:
    """Tables of all points, one per protocol."""
    lines: list[str] = []
    if not data.results or data.results[0].point is None:
        return lines
    # Points of different numbers of images are in tables of their own.
    for images in dict.fromkeys(r.spot.images for r in data.results):
        points = [r.point for r in data.results if r.spot.images == images]
        names = metric_names(points)
        points, notes = comparable_times(points, "paper=fig1 measures its fractions in turn")
        for series in dict.fromkeys(point.series for point in points):
            table = result_table(points, series, names)
            lines += [f"## {series}, {images} images", "", *table_lines(table), ""]
        lines += [text for note in notes for text in (f"Note: {note}", "")]
    reach = resolution(data.results)
    if reach is not None:
        lines.append(f"Differences of FID of about {reach:.2g} can be told from nothing (median "
                     "half width of the paired 95 % intervals up to fraction 0.5).")  # fmt: skip
    return lines


def protocol_lines(data: FigureData) -> list[str]:
    """What all points share."""
    lines = []
    if data.results and data.results[0].evaluation:
        result = data.results[0]
        run, evaluation = result.spot.experiment.run, result.evaluation
        ran = json.loads((result.folder / METRICS).read_text())["protocol"]
        reference = evaluation["protocol"]["reference"]
        lines += [
            f"- pair: {result.spot.experiment.pair.name}; seed {run.seed}, classes {run.classes}, "
            f"{ran['dtype']}, batch size {run.batch_size}, {', '.join(ran['devices'])}",
            f"- reference: {reference['label']} ({reference['num_images']} images); "
            f"{evaluation['metrics']['fid']['name']}; intervals: paired delete-a-group jackknife, "
            f"{evaluation['groups']} groups of image indices",
        ]
    elif "timing" in data.extra:
        lines.append(f"- device: {data.extra['timing']['device']}")
    if data.figure.looks_at:
        lines.append(f"- looked at: {data.figure.looks_at}")
    shown = ", ".join(f"{name} {version}" for name, version in versions().items())
    return [*lines, f"- versions: {shown}"]


def _short(result: Result) -> str:
    return result.spot.planned.label + (f", {result.spot.variant}" if result.spot.variant else "")


def _mega(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2f}"
