"""`scripts/reproduce.py`: a figure, a table, or the ledger of all claims."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tstitch.config.groups import figure_section
from tstitch.files.writing import write_text
from tstitch.paper.dry_run import describe_figures
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.measure import ModelCache, measure_points
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.parse import parse_figure
from tstitch.paper.report.claims import Outcome, check_claims, claims_of, judge
from tstitch.paper.report.document import render_report, verdict_lines
from tstitch.paper.report.ledger import read_verdicts, render_ledger
from tstitch.paper.report.place import images_of, marked, report_folder
from tstitch.run.directory import writing
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

log = logging.getLogger(__name__)


def run_reproduction(config: dict[str, Any]) -> Path | None:
    """Measures what is missing, judges the claims and writes the report, unless on a dry run.

    The same command goes on where a killed one stopped.

    Raises:
        UserError: bad input, on every rank alike; what is measured stays.
    """
    settings = Reproduction.parse(config)
    figure = parse_figure(config["paper"], settings)
    members = [parse_figure(figure_section(name), settings) for name in figure.members]
    figures = members or [figure]
    for one in figures:
        check_claims(one)
    unfit = {one.name: reason for one in figures if (reason := one.unfit(settings))}
    if unfit and not members:
        raise UserError(unfit[figure.name])
    beside = read_verdicts(settings.beside)
    labels = {label for one in figures for curve in one.curves for label in curve.variants}
    for label in settings.checkpoints:
        if label not in labels:
            raise UserError(f"checkpoints.{label}: {figure.name} has no such variant")
    if settings.dry_run:
        lines = describe_figures([one for one in figures if one.name not in unfit], settings)
        lines += [f"left out: {reason}" for reason in unfit.values()]
        if distributed.is_main():
            print("\n".join(lines), flush=True)
        return None
    distributed.start()
    # Everything is checked before anything is sampled, by every rank alike.
    missing = unfit | _missing([one for one in figures if one.name not in unfit], settings)
    if missing and not members:
        raise UserError(missing[figure.name])
    for name, reason in missing.items():
        log.warning("%s is left out: %s", name, reason)
    folder = distributed.on_main(lambda: _make_folder(figure, figures, settings))
    cache = ModelCache()
    data = {
        one.name: produce(one, settings, cache, folder)
        for one in figures
        if one.name not in missing
    }

    def write() -> Path:
        findings = [judge(claim, data, missing) for claim in claims_of(figure)]
        found = Outcome(figure, figures, data, missing, findings, settings, folder, beside)
        return _write(found)

    path = distributed.on_main(write)
    log.info("%s", path)
    return path


def _missing(figures: Sequence[Figure], settings: Reproduction) -> dict[str, str]:
    """Why figures cannot be made here for want of the user's own data or weights, by name.

    Raises:
        UserError: a bad value, which has to be mended.
    """
    reasons = {}
    for figure in figures:
        figure.check(settings)
        try:
            figure.check_inputs(settings)
        except UserError as error:
            reasons[figure.name] = str(error)
    return reasons


def _make_folder(figure: Figure, figures: Sequence[Figure], settings: Reproduction) -> Path:
    folder = report_folder(figure, settings, images_of(figures))
    with writing(folder, "report"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def produce(figure: Figure, settings: Reproduction, cache: ModelCache, report: Path) -> FigureData:
    """Measures what is missing of a figure; every rank calls it alike.

    Args:
        report: folder of the report, to which points name their directories.

    Raises:
        UserError: bad input; what is measured stays.
    """
    log.info("%s: %s", figure.name, figure.title)
    figure = figure.prepared(settings, cache)
    results = measure_points(figure.plan(settings), report, cache)
    return FigureData(figure, results, figure.measure(settings, cache, results))


def _write(outcome: Outcome) -> Path:
    """Writes REPORT.md, and its pictures in REPORT/; prints the verdicts."""
    folder, findings = outcome.folder, outcome.findings
    path = folder.with_name(f"{folder.name}.md")
    with writing(folder, "report"):
        text = render_ledger(outcome) if outcome.figure.members else render_report(outcome)
        write_text(path, marked(text, images_of(outcome.figures)))
    if outcome.figure.members:
        verdicts = [f"{f.claim.id}: {f.status}" for f in findings]
    else:
        own = outcome.data[outcome.figure.name]
        verdicts = [*verdict_lines(findings), *own.figure.conclusions(own)]
    print("\n".join(verdicts), flush=True)
    return path
