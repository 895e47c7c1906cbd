"""Evaluates a finished run: evaluation.json, and the quality section of its report."""

import json
import logging
from pathlib import Path
from typing import Any

from evaluation.metrics import catalogue
from tstitch.files.writing import write_json, write_text
from tstitch.run.directory import writing
from tstitch.run.report import render_report
from tstitch.run.results import EVALUATION, METRICS, REPORT
from tstitch.run.samples import SAMPLES
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.sampling.experiment import Experiment
from tstitch.scoring.compare import nearest_floor
from tstitch.scoring.flagging import flag_lines, marks
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import MIN_IMAGES
from tstitch.scoring.table import number, span

log = logging.getLogger(__name__)


def score_run(folder: Path, experiment: Experiment, shared: SharedModels) -> None:
    """Evaluates samples.npz unless evaluation.json already says what it would.

    Every rank calls it alike. Runs without a reference, or with fewer images than a metric can
    use, are left as they are.

    Raises:
        UserError: damaged or unwritable files; the samples are kept.
    """
    if shared.evaluator is None:
        return
    if experiment.run.num_images < MIN_IMAGES:
        log.warning("not evaluated: run.num_images is less than %d", MIN_IMAGES)
        return
    wanted = shared.evaluator.identity
    evaluation = distributed.on_main(lambda: _current(folder, wanted))
    if evaluation is None:
        log.info("%s: evaluating %d images", folder, experiment.run.num_images)
        evaluation = {"identity": wanted} | shared.evaluate(folder / SAMPLES)
    elif "flags" not in evaluation:
        images = distributed.everywhere(lambda: open_samples(folder / SAMPLES, "samples"))
        evaluation = shared.evaluator.flag(evaluation, images)
    distributed.on_main(lambda: _write(folder, shared.floors, evaluation))
    headlines = [metric.key for metric in catalogue.METRICS if metric.headline]
    shown = [
        f"{entry['name']} {number(entry['value'])} ({span(entry)}){marks(entry)}"
        for key, entry in evaluation["metrics"].items()
        if key in headlines
    ]
    log.info("%s", "; ".join(shown))
    for line in flag_lines(evaluation):
        log.warning("flagged: %s", line)


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """evaluation.json of a run, None if there is none or it is of other images."""
    try:
        evaluation = json.loads((folder / EVALUATION).read_text())
        metrics = json.loads((folder / METRICS).read_text())
        images = (evaluation["fingerprint"], evaluation["num_images"])
        if images != (metrics["fingerprint"], metrics["protocol"]["num_images"]):
            return None
        return evaluation
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _current(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    evaluation = read_evaluation(folder)
    return evaluation if evaluation and evaluation.get("identity") == identity else None


def _write(folder: Path, floors: list[dict[str, Any]], evaluation: dict[str, Any]) -> None:
    with writing(folder):
        metrics = json.loads((folder / METRICS).read_text())
        evaluation = {"fingerprint": metrics["fingerprint"]} | evaluation
        floor = nearest_floor(floors, evaluation["num_images"])
        if evaluation != read_evaluation(folder):
            write_json(folder / EVALUATION, evaluation)
        write_text(folder / REPORT, render_report(metrics, evaluation, floor))
