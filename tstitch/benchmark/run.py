"""`scripts/benchmark.py`: how fast a pair samples under several engines."""

import json
import logging
from pathlib import Path
from typing import Any

from evaluation.machine import versions
from tstitch import distributed
from tstitch.benchmark.measure import measure_group
from tstitch.benchmark.report import render_benchmark, save_plot
from tstitch.benchmark.results import summarise
from tstitch.benchmark.settings import BenchmarkSettings, Case, list_cases, parse_benchmark
from tstitch.benchmark.worker import with_fraction
from tstitch.engine.settings import choose_engine
from tstitch.errors import UserError
from tstitch.experiment import Experiment, parse_experiment
from tstitch.files import replacing, write_text
from tstitch.pair import locate_weights
from tstitch.rundir import writing
from tstitch.sizes import network_sizes
from tstitch.threads import available_cores

log = logging.getLogger(__name__)


def run_benchmark(config: dict[str, Any]) -> Path:
    """Measures every case and writes benchmark.json, benchmark.md and benchmark.png.

    Returns:
        The folder of the results.

    Raises:
        UserError: a bad field, or what a case cannot do here.
    """
    if distributed.world_size() > 1:
        raise UserError("benchmark.processes: start it with python; it starts its own processes")
    base = {name: section for name, section in config.items() if name != "benchmark"}
    first = parse_experiment(base)
    settings = parse_benchmark(config.get("benchmark"), first.run)
    if len(first.pair.denoisers) != 2:
        raise UserError(f"pair={first.pair.name}: fractions need a pair of two denoisers")
    experiments = {fraction: with_fraction(base, fraction) for fraction in settings.fractions}
    folder = Path(settings.dir or f"{first.run.root}/{first.pair.name}/benchmark")
    with writing(folder, "benchmark.dir"):
        folder.mkdir(parents=True, exist_ok=True)
    flops = {name: size.flops for name, size in network_sizes(first.pair).items()}
    groups = list_cases(settings)
    _check(groups, base)
    document: dict[str, Any] = {"protocol": _protocol(first, settings, flops), "cases": []}
    for group in groups:
        results = measure_group(group, base, settings, folder)
        document["protocol"]["device"] = results[0].setup["device"]
        document["cases"] += summarise(results, experiments, flops)
        with writing(folder, "benchmark.dir"):  # what a later group cannot do loses nothing
            _write(document, folder)
    print(render_benchmark(document), flush=True)
    log.info("%s: benchmark.md, benchmark.json, benchmark.png", folder)
    return folder


def _check(groups: list[list[Case]], base: dict[str, Any]) -> None:
    """What can be refused before anything is started."""
    for case in (case for group in groups for case in group):
        experiment = parse_experiment(case.config(base))
        choose_engine(experiment.engine, experiment.run)
        for spec in experiment.pair.denoisers:
            locate_weights(spec)


def _write(document: dict[str, Any], folder: Path) -> None:
    with replacing(folder / "benchmark.png") as part:
        save_plot(document, part)
    write_text(folder / "benchmark.md", render_benchmark(document))
    write_text(folder / "benchmark.json", json.dumps(document, indent=2) + "\n")


def _protocol(
    experiment: Experiment, settings: BenchmarkSettings, flops: dict[str, int]
) -> dict[str, Any]:
    sampler, guidance = experiment.config["sampler"], experiment.guidance
    return {
        "pair": experiment.pair.name,
        "sampler": {**sampler, "steps": experiment.sampler.steps},
        "guidance": {"scale": guidance.scale, "channels": guidance.channels},
        "gmacs_per_evaluation": {n: round(f / 2e9, 4) for n, f in flops.items()},
        "rounds": settings.rounds,
        "batches_per_measurement": settings.batches,
        "seed": experiment.run.seed,
        "cores": available_cores(),
        "versions": versions(),
    }
