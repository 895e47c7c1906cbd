"""`scripts/reproduce.py`: a figure, a table, or the ledger of all claims."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from tstitch import distributed
from tstitch.errors import UserError
from tstitch.options import figure_section
from tstitch.paper.cost import count_cost, describe_cost
from tstitch.paper.figures import FigureData, produce
from tstitch.paper.ledger import write_ledger
from tstitch.paper.measure import Stock
from tstitch.paper.plan import plan_spots
from tstitch.paper.probes import probe_spot
from tstitch.paper.report import verdict_lines, write_report
from tstitch.paper.settings import ROLES, Figure, Reproduction, parse_reproduction
from tstitch.paper.tuning import count_training
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
        figures = [_member(name, config) for name in told.members]
    # Everything is checked before anything is sampled.
    plans = {
        f.name: plan_spots(f.curves, told, trial=told.dry_run or f.kind == "tuning")
        for f in figures
    }
    if told.dry_run:
        if distributed.is_main():
            _print_costs(figures, plans, told)
        return None
    distributed.start()
    distributed.on_main(lambda: _make_folder(told))
    path = _ledger(figures, told) if told.figure.kind == "ledger" else _figure(told)
    log.info("%s", path)
    return path


def _member(name: str, config: dict[str, Any]) -> Figure:
    return parse_reproduction(config | {"paper": figure_section(name)}).figure


def _make_folder(told: Reproduction) -> None:
    folder = Path(told.report)
    with writing(folder, "report"):
        folder.mkdir(parents=True, exist_ok=True)


def _figure(told: Reproduction) -> Path:
    data = produce(told.figure, told, Stock(), Path(told.report))

    def write() -> Path:
        wanted = [c for c in read_claims() if c.sources and told.figure.name in c.sources]
        # Of a claim about several figures, this one alone.
        own = [replace(c, figures=[], figure=told.figure.name) for c in wanted]
        findings = [judge(claim, {told.figure.name: data}, {}) for claim in own]
        with writing(Path(told.report), "report"):
            path = write_report(data, findings, told)
        print("\n".join(verdict_lines(findings)), flush=True)
        return path

    return distributed.on_main(write)


def _ledger(figures: list[Figure], told: Reproduction) -> Path:
    stock, missing = Stock(), {}
    data: dict[str, FigureData] = {}
    for figure in figures:
        try:
            data[figure.name] = produce(figure, told, stock, Path(told.report))
        except UserError as error:
            if figure.kind != "tuning":
                raise
            missing[figure.name] = str(error)  # it needs training data, the others do not
            log.warning("%s: %s", figure.name, error)

    def write() -> Path:
        findings = [judge(claim, data, missing) for claim in read_claims()]
        with writing(Path(told.report), "report"):
            path = write_ledger(figures, data, findings, missing, told)
        print("\n".join(f"{f.claim.id}: {f.status}" for f in findings), flush=True)
        return path

    return distributed.on_main(write)


def _print_costs(figures: list[Figure], plans: dict[str, Any], told: Reproduction) -> None:
    """Protocol and cost of every figure, and of all together."""
    for figure in figures:
        print(f"{figure.name}: {figure.title} ({told.scale.name}: {figure.about})")
        for curve in figure.curves:
            print(
                f"  {' + '.join(curve.models)}, {curve.sampler}, steps {_list(curve.steps)}, "
                f"guidance {_list(curve.guidance)}, {len(curve.shares)} schedules"
                + (f" of {_list(curve.kinds)}" if curve.kinds != ("fraction",) else "")
                + (f", {len(curve.variants)} variants" if len(curve.variants) > 1 else "")
                + f", {curve.images:,} images each"
                + (f"; expected: {curve.source}" if curve.source else "")
            )
        if "probe" in figure.own and "steps" in figure.own["probe"]:
            probe = figure.own["probe"]
            probe_spot(probe, told, ROLES)
            print("  " + ", ".join(f"{name} {value}" for name, value in probe.items()))
        if "training" in figure.own:
            _print_trainings(figure, told)
        for line in describe_cost(count_cost(plans[figure.name]), told.throughput):
            print(f"  {line}")
        if figure.minutes:
            print(f"  about {figure.minutes:g} minutes on 2 cores")
    if len(figures) > 1:
        everything = [spot for spots in plans.values() for spot in spots]
        print("together, shared points counted once:")
        for line in describe_cost(count_cost(everything), told.throughput):
            print(f"  {line}")


def _print_trainings(figure: Figure, told: Reproduction) -> None:
    given = [*figure.own["training"], *told.training]
    print(f"  trainings: {' '.join(given)}")
    flops = count_training(figure, told)
    hours = "" if told.throughput is None else f", {flops / told.throughput / 3600:,.1f} hours"
    print(f"  {flops / 1e15:,.2f} PFLOPs of training (3 times the forward pass){hours}")


def _list(values: Any) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
