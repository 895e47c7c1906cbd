"""`scripts/reproduce.py`: a figure, a table, or the ledger of all claims."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from tstitch import distributed
from tstitch.errors import UserError
from tstitch.options import figure_section
from tstitch.paper.cost import count_cost, describe_cost
from tstitch.paper.curve_settings import ROLES
from tstitch.paper.figure_settings import Figure
from tstitch.paper.figures import produce
from tstitch.paper.kept import images_of, mark, own_report
from tstitch.paper.ledger import write_ledger
from tstitch.paper.measure import Stock
from tstitch.paper.plan import Spot, plan_spots
from tstitch.paper.probes import probe_spot
from tstitch.paper.report import verdict_lines, write_report
from tstitch.paper.settings import Reproduction, parse_reproduction
from tstitch.paper.tuning import check_training, count_training
from tstitch.paper.verdicts import judge, read_claims
from tstitch.rundir import writing

log = logging.getLogger(__name__)


def run_reproduction(config: dict[str, Any]) -> Path | None:
    """Measures what is missing, judges the claims and writes the report.

    The same command goes on where a killed one stopped.

    Returns:
        The report; None for a dry run.

    Raises:
        UserError: bad input, on every rank alike; what is measured stays.
    """
    told = parse_reproduction(config)
    figures = [told.figure]
    if told.figure.kind == "ledger":
        figures = [_member(name, config) for name in told.figure.members]
    for figure in figures:
        _check_claims(figure)
    labels = {label for figure in figures for curve in figure.curves for label in curve.variants}
    for label in told.checkpoints:
        if label not in labels:
            raise UserError(f"checkpoints.{label}: {told.figure.name} has no such variant")
    if told.dry_run:
        plans = [plan_spots(figure.curves, told, trial=True) for figure in figures]
        lines = []
        for figure, spots in zip(figures, plans, strict=True):
            lines += _cost_lines(figure, spots, told)
        lines += _total_lines(plans, told)
        if distributed.is_main():
            print("\n".join(lines), flush=True)
        return None
    distributed.start()
    # Everything is checked before anything is sampled, by every rank alike.
    refused = {figure.name: _refusal(figure, told) for figure in figures}
    missing = {name: reason for name, reason in refused.items() if reason is not None}
    if missing and told.figure.kind != "ledger":
        raise UserError(missing[told.figure.name])
    told = distributed.on_main(lambda: _make_folder(own_report(told, images_of(figures))))
    path = _ledger(figures, missing, told) if told.figure.kind == "ledger" else _figure(told)
    log.info("%s", path)
    return path


def _member(name: str, config: dict[str, Any]) -> Figure:
    return parse_reproduction(config | {"paper": figure_section(name)}).figure


def _check_claims(figure: Figure) -> None:
    known = [claim.id for claim in read_claims() if figure.name in claim.sources]
    for claim in figure.claims:
        if claim not in known:
            raise UserError(
                f"paper.claims: {claim} is not judged by {figure.name}; choose out of "
                f"[{', '.join(known)}]"
            )


def _refusal(figure: Figure, told: Reproduction) -> str | None:
    """Why a figure cannot be made here for want of the user's own data or weights.

    Raises:
        UserError: a bad value, which has to be mended.
    """
    unscored = replace(told, unscored=figure.unscored)
    plan_spots(figure.curves, unscored, trial=True)
    if figure.probe is not None:
        probe_spot(figure.probe, replace(told, unscored=True), ROLES)
    try:
        if figure.kind == "tuning":
            check_training(figure, told)
        else:
            plan_spots(figure.curves, unscored)
    except UserError as error:
        return str(error)
    return None


def _make_folder(told: Reproduction) -> Reproduction:
    folder = Path(told.report)
    with writing(folder, "report"):
        folder.mkdir(parents=True, exist_ok=True)
    return told


def _figure(told: Reproduction) -> Path:
    data = produce(told.figure, told, Stock(), Path(told.report))

    def write() -> Path:
        wanted = [c for c in read_claims() if c.id in told.figure.claims]
        # Of a claim about several figures, this one alone.
        own = [replace(c, figures=[], figure=told.figure.name) for c in wanted]
        findings = [judge(claim, {told.figure.name: data}, {}) for claim in own]
        with writing(Path(told.report), "report"):
            path = write_report(data, findings, told)
            mark(path, images_of([told.figure]))
        print("\n".join(verdict_lines(findings)), flush=True)
        return path

    return distributed.on_main(write)


def _ledger(figures: list[Figure], missing: dict[str, str], told: Reproduction) -> Path:
    stock, data = Stock(), {}
    for name, reason in missing.items():
        log.warning("%s is left out: %s", name, reason)
    for figure in figures:
        if figure.name not in missing:
            data[figure.name] = produce(figure, told, stock, Path(told.report))

    def write() -> Path:
        findings = [judge(claim, data, missing) for claim in read_claims()]
        with writing(Path(told.report), "report"):
            path = write_ledger(figures, data, findings, missing, told)
            mark(path, images_of(figures))
        print("\n".join(f"{f.claim.id}: {f.status}" for f in findings), flush=True)
        return path

    return distributed.on_main(write)


def _cost_lines(figure: Figure, spots: tuple[Spot, ...], told: Reproduction) -> list[str]:
    """Protocol and cost of a figure."""
    lines = [f"{figure.name}: {figure.title} ({told.scale.name}: {figure.about})"]
    for curve in figure.curves:
        lines.append(
            f"  {' + '.join(curve.models)}, {curve.sampler}, steps {_list(curve.steps)}, "
            f"guidance {_list(curve.guidance)}, {len(curve.shares)} schedules"
            + (f" of {_list(curve.kinds)}" if curve.kinds != ("fraction",) else "")
            + (f", {len(curve.variants)} variants" if len(curve.variants) > 1 else "")
            + f", {curve.images:,} images each"
            + (f"; expected: {curve.expected.source}" if curve.expected.source else "")
        )
    if figure.looks_at:
        lines.append(f"  looks at: {figure.looks_at}")
    if figure.tuning is not None:
        lines += _training_lines(figure, told)
    if spots:
        lines += [f"  {line}" for line in describe_cost(count_cost(spots), told.throughput)]
    if figure.minutes:
        lines.append(f"  about {figure.minutes:g} minutes on 2 cores")
    return lines


def _training_lines(figure: Figure, told: Reproduction) -> list[str]:
    given = [*figure.tuning.training, *told.training]
    flops = count_training(figure, told)
    hours, rate = "", told.throughput
    if rate is not None and not rate.source:  # a benchmark samples, which is other work
        hours = f", {flops / rate.flops_per_second / 3600:,.1f} hours"
    return [
        f"  trainings: {' '.join(given)}",
        f"  {flops / 1e15:,.2f} PFLOPs of training (3 times the forward pass){hours}",
    ]


def _total_lines(plans: list[tuple[Spot, ...]], told: Reproduction) -> list[str]:
    if len(plans) < 2:
        return []
    lines = describe_cost(count_cost([spot for spots in plans for spot in spots]), told.throughput)
    return ["together, shared points counted once:", *(f"  {line}" for line in lines)]


def _list(values: Any) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
