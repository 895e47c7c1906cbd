"""What a sweep leaves: points.csv, plots, the strip of images, report.md and report.html."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.cost.machine import versions
from evaluation.features.npz_stream import stream_rows
from evaluation.report.frames import frame_sheets
from evaluation.report.markdown import render_markdown
from evaluation.report.page import render_page
from evaluation.report.plots import plot_metrics, plot_pareto
from evaluation.report.points import Floor, Point, points_csv
from evaluation.report.sheets import draw_strip
from tstitch.files.pictures import save_figure, save_image
from tstitch.files.writing import write_text
from tstitch.run.finished import FinishedRun
from tstitch.run.samples import IMAGES, LABELS, SAMPLES
from tstitch.scoring.compare import nearest_floor
from tstitch.scoring.evaluation import Evaluation
from tstitch.sweep.plan import Plan

STRIP, PLOTS, POINTS = "strip.png", ("metrics", "pareto"), "points.csv"
CAPTIONS = {
    STRIP: "The same images under schedules of the first series",
    "metrics.png": "Metrics with 95 % intervals",
    "pareto.png": "Quality against time and against arithmetic",
}
MAX_COLUMNS = 12  # as many as are read without scrolling


def write_report(
    plan: Plan,
    points: list[Point],
    runs: list[FinishedRun],
    folder: Path,
    floors: list[Evaluation],
) -> None:
    """Writes every file of the report, each by temporary name and rename.

    Args:
        points, runs: of the plan, in its order.
    """
    entry = nearest_floor(floors, points[0].num_images)
    floor = Floor(metrics=entry.metrics, num_images=entry.num_images) if entry else None
    write_text(folder / POINTS, points_csv(points))
    for name, figure in zip(PLOTS, (plot_metrics, plot_pareto), strict=True):
        save_figure(figure(points, floor), folder / name)
    if plan.settings.strip:
        _write_strip(plan, runs, folder / STRIP)
    names = [name for name in CAPTIONS if name != STRIP or plan.settings.strip]
    protocol = _protocol(plan, runs[0])
    title = f"{protocol['pair']}: stitched trajectories"
    pictures = [(CAPTIONS[name], name) for name in names]
    text = render_markdown(points, floor, protocol, title=title, pictures=pictures)
    write_text(folder / "report.md", text)
    strips = [(CAPTIONS[STRIP], (folder / STRIP).read_bytes())] if STRIP in names else []
    page = render_page(points, floor, protocol, title=title, pictures=strips)
    write_text(folder / "report.html", page)


def counted_images(path: Path) -> int:
    """Images per run that a points.csv is of; 0 if there is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return max(int(row["num_images"]) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _write_strip(plan: Plan, runs: list[FinishedRun], path: Path) -> None:
    """The first images of the runs of the first series, of some, spread evenly, if it has many."""
    members = [i for i, p in enumerate(plan.points) if p.series == plan.points[0].series]
    spread = np.linspace(0, len(members) - 1, min(len(members), MAX_COLUMNS)).round()
    members = [members[place] for place in spread.astype(int)]
    rows = min(plan.settings.strip, plan.points[0].experiment.run.num_images)
    samples = [runs[i].folder / SAMPLES for i in members]
    frames = plan.points[0].experiment.frames
    images = np.stack([frame_sheets(next(stream_rows(f, IMAGES, rows)), frames) for f in samples])
    labels = next(stream_rows(samples[0], LABELS, rows))
    names = plan.points[0].experiment.conditions
    columns = [plan.points[i].label for i in members]
    strip = draw_strip(images, columns, [names[label] for label in labels], clear=True)
    save_image(strip, path)


def _protocol(plan: Plan, first: FinishedRun) -> dict[str, Any]:
    """What all points share."""
    experiment = plan.points[0].experiment
    evaluation = first.evaluated
    return {
        "pair": experiment.name,
        "images": {
            "per run": experiment.run.num_images,
            "classes": experiment.config["run"]["classes"],
            "seed": experiment.run.seed,
            "dtype": first.metrics.protocol.dtype,
            "batch size": experiment.run.batch_size,
        },
        "evaluation": evaluation.protocol.plain() | {"groups": evaluation.groups},
        "versions": versions(),
    }
