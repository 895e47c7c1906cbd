"""Evaluates a finished run: evaluation.json, and the report, which is written once."""

import logging
from dataclasses import replace

from evaluation.metrics import catalogue
from tstitch.maker.protocol import Experiment
from tstitch.run.directory import writing
from tstitch.run.finished import EVALUATION, FinishedRun
from tstitch.run.report import write_report
from tstitch.run.results import write_missing_report
from tstitch.run.samples import SAMPLES
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.scoring.compare import nearest_floor
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.flagging import flag_lines, marks
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import MIN_IMAGES
from tstitch.scoring.table import number, span

log = logging.getLogger(__name__)


def score_run(run: FinishedRun, experiment: Experiment, shared: SharedModels) -> FinishedRun:
    """Evaluates samples.npz unless evaluation.json already says what it would; writes the report.

    Every rank calls it alike. Runs without a reference, or with fewer images than a metric can
    use, are left as they are.

    Returns:
        The run with its evaluation, also one that an earlier command made.

    Raises:
        UserError: damaged or unwritable files; the samples are kept.
    """
    stored = distributed.on_main(run.stored_evaluation)
    if shared.evaluator is None or experiment.run.num_images < MIN_IMAGES:
        if shared.evaluator is not None:
            log.warning("not evaluated: run.num_images is less than %d", MIN_IMAGES)
        run = replace(run, evaluation=stored)
        distributed.on_main(lambda: write_missing_report(run))
        return run
    evaluation = _evaluated(run, stored, experiment, shared)
    run = replace(run, evaluation=evaluation)
    distributed.on_main(lambda: _write(run, evaluation, stored, shared.floors))
    _announce(evaluation)
    return run


def _evaluated(
    run: FinishedRun, stored: Evaluation | None, experiment: Experiment, shared: SharedModels
) -> Evaluation:
    """The stored evaluation if it is by the same reference and extractor, else a new one."""
    evaluator, samples = shared.evaluator, run.folder / SAMPLES
    assert evaluator is not None
    if stored is None or stored.identity != evaluator.identity:
        log.info("%s: evaluating %d images", run.folder, experiment.run.num_images)
        own = {"fingerprint": run.metrics.fingerprint, "identity": evaluator.identity}
        return shared.evaluate(samples).model_copy(update=own)
    if stored.flags is None:
        images = distributed.everywhere(lambda: open_samples(samples, "samples"))
        return evaluator.flag(stored, images)
    return stored


def _write(
    run: FinishedRun,
    evaluation: Evaluation,
    stored: Evaluation | None,
    floors: list[Evaluation],
) -> None:
    floor = nearest_floor(floors, evaluation.num_images)
    with writing(run.folder):
        if evaluation != stored:
            evaluation.write(run.folder / EVALUATION)
        write_report(run, floor)


def _announce(evaluation: Evaluation) -> None:
    headlines = [metric.key for metric in catalogue.METRICS if metric.headline]
    shown = [
        f"{entry.name} {number(entry.value)} ({span(entry)}){marks(entry)}"
        for key, entry in evaluation.metrics.items()
        if key in headlines
    ]
    log.info("%s", "; ".join(shown))
    for line in flag_lines(evaluation):
        log.warning("flagged: %s", line)
