"""`scripts/simulate.py`: a table of wall times, costs and what limits them."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.report.table import Table, table_lines
from tstitch.config import fields
from tstitch.files.writing import writing_to
from tstitch.simulate.measure import measure_costs
from tstitch.simulate.model import Costs, Run, Spent, even_schedules, simulate_runs
from tstitch.simulate.settings import SimulateSettings

WORTH = 0.5  # of the GPU time is sampling; beyond, more GPUs are mostly paid for waiting
log = logging.getLogger(__name__)


def run_simulation(config: dict[str, Any]) -> None:
    """Prints the costs, a Markdown table, and up to where more GPUs are worth it.

    Raises:
        UserError: a bad field.
    """
    fields.check_sections(config, ("simulate",))
    settings = SimulateSettings.parse(config["simulate"])
    costs = _measured(settings) if settings.measure else settings.given_costs
    shown = ", ".join(f"{name} {value:.3g}" for name, value in costs.as_dict().items())
    print(f"costs in seconds ({'measured' if settings.measure else 'given'}): {shown}\n")
    print("\n".join(simulated_lines(settings, costs.on_slower_files(settings.slower))), flush=True)


def _measured(settings: SimulateSettings) -> Costs:
    units = -(-settings.images // settings.batch_size)
    with (
        writing_to(tempfile.gettempdir(), "TMPDIR", "free space, or set TMPDIR to another disk"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        return measure_costs(Path(scratch), units, settings.batch_size, settings.image)


def simulated_lines(settings: SimulateSettings, costs: Costs) -> list[str]:
    """A table, one row for each number of GPUs, and a line about each way to share them."""
    height, width = settings.image
    base = Run(
        images=settings.images,
        batch_size=settings.batch_size,
        seconds_per_image=settings.seconds_per_image[1],
        image_bytes=height * width * 3,
        prepare=settings.prepare,
        evaluate=settings.evaluate,
    )
    runs = even_schedules(base, settings.seconds_per_image, settings.schedules)
    ideal = sum(run.images * run.seconds_per_image for run in runs)
    ways = {"in turn": 1, "at once": len(runs)}
    found = {
        way: [simulate_runs(runs, gpus, costs, groups) for gpus in settings.gpus]
        for way, groups in ways.items()
    }
    header = ["GPUs"]
    for way in ways:
        header += [f"{way}: wall", "GPU-hours", "sampling", "most besides"]
    rows = [
        [f"{gpus:,}", *(text for one in ones for text in _cells(one, ideal))]
        for gpus, *ones in zip(settings.gpus, *found.values(), strict=True)
    ]
    lines = table_lines(Table(header, rows), labels=False)
    about = f"{len(runs)} runs of {settings.images:,} images"
    lines += ["", f"{about}, {ideal / 3600:,.1f} GPU-hours of denoisers and decoding"]
    return lines + [_limit(way, settings.gpus, found[way], ideal) for way in ways]


def _cells(spent: Spent, ideal: float) -> list[str]:
    besides = {name: seconds for name, seconds in spent.parts.items() if name != "sampling"}
    most = max(besides, key=lambda name: besides[name])
    return [
        _duration(spent.wall),
        f"{spent.gpu / 3600:,.1f}",
        f"{ideal / spent.gpu:.0%}",
        f"{most} {_duration(besides[most])}",
    ]


def _limit(way: str, gpus: Sequence[int], found: Sequence[Spent], ideal: float) -> str:
    """Up to which number of GPUs most of what is paid for samples."""
    worth = [n for n, one in zip(gpus, found, strict=True) if ideal / one.gpu >= WORTH]
    share = f"{WORTH:.0%} of the GPU-hours"
    if not worth:
        return f"{way}: the denoisers have less than {share} at any number"
    return f"{way}: the denoisers have {share} or more up to {max(worth):,} GPUs"


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
