"""`scripts/benchmark.py`: how fast a pair samples under several engines."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.cost.machine import versions
from tstitch.benchmark.measure import Measured
from tstitch.benchmark.peers import peer_dtype, why_no_peer
from tstitch.benchmark.report import render_benchmark, save_plot
from tstitch.benchmark.results import summarise, summarise_peers
from tstitch.benchmark.session import Session
from tstitch.benchmark.settings import BenchmarkSettings, Case, list_cases
from tstitch.benchmark.worker import with_fraction
from tstitch.engine.settings import choose_engines
from tstitch.files.writing import replacing, write_json, write_text
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.run.directory import writing
from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError
from tstitch.runtime.threads import available_cores

log = logging.getLogger(__name__)


def run_benchmark(config: dict[str, Any]) -> Path:
    """Measures the cases and writes benchmark.json, benchmark.md and benchmark.png.

    The files are written anew, whole, after every measurement. They replace those of an earlier
    benchmark once the first case is measured: what was measured at another time, on a machine in
    another state, does not compare with what is measured now. Returns their folder.

    Raises:
        UserError: a bad field, or what a case cannot do here.
    """
    if distributed.world_size() > 1:
        raise UserError("benchmark.processes: start it with python; it starts its own processes")
    base = {name: section for name, section in config.items() if name != "benchmark"}
    first = parse_experiment(base)
    device = choose_device(first.run.device, "run.device")
    context = {"device": device, "dtype": first.run.dtype}
    settings = BenchmarkSettings.parse(config.get("benchmark"), context=context)
    if len(first.denoisers) != 2:
        raise UserError(f"pair={first.name}: fractions need a pair of two denoisers")
    experiments = {fraction: with_fraction(base, fraction) for fraction in settings.fractions}
    folder = Path(settings.dir or f"{first.run.root}/{first.name}/benchmark")
    with writing(folder, "benchmark.dir"):
        folder.mkdir(parents=True, exist_ok=True)
    flops = {name: size.flops for name, size in first.costs().items()}
    peer_reason = why_no_peer(first)
    groups = list_cases(settings, None if peer_reason else peer_dtype(device))
    _check(groups, base)

    def save(results: list[list[Measured]], finished: bool = False) -> None:
        document = _identity(first) | {
            "finished": finished,
            "left_out": [asdict(entry) for entry in session.left_out],
            "protocol": _protocol(first, settings, flops)
            | {"device": results[0][0].setup["device"]},
            "cases": [c for group in results for c in summarise(group, experiments, flops)],
            "peers": [p for group in results for p in summarise_peers(group)],
        }
        with writing(folder, "benchmark.dir"):
            _write(document, folder)

    session = Session(base, settings, folder, save)
    if peer_reason:
        session.leave_out("diffusers' DiTPipeline", peer_reason)
    session.run(groups)
    save(session.results, finished=True)
    print((folder / "benchmark.md").read_text(encoding="utf-8"), flush=True)
    log.info("%s: benchmark.md, benchmark.json, benchmark.png", folder)
    return folder


def _check(groups: list[list[Case]], base: dict[str, Any]) -> None:
    """What can be refused before anything is started."""
    for case in (case for group in groups for case in group):
        experiment = parse_experiment(case.config(base))
        choose_engines(experiment.engine, experiment.run)
        experiment.fetch()


def _write(document: dict[str, Any], folder: Path) -> None:
    with replacing(folder / "benchmark.png") as part:
        save_plot(document, part)
    write_text(folder / "benchmark.md", render_benchmark(document))
    write_json(folder / "benchmark.json", document, indent=2)


def _identity(experiment: Experiment) -> dict[str, Any]:
    """What was measured, for whoever takes the numbers for another run's."""
    return {
        "pair": experiment.name,
        "image_size": experiment.image_shape[0],
        "networks": {
            name: {"gmacs": size.flops / 2e9, "parameters": size.parameters}
            for name, size in experiment.costs().items()
        },
    }


def _protocol(
    experiment: Experiment, settings: BenchmarkSettings, flops: dict[str, int]
) -> dict[str, Any]:
    method = {k: v for k, v in experiment.protocol().items() if k != "stitch"}
    return {
        "pair": experiment.name,
        **method,
        "gmacs_per_evaluation": {n: round(f / 2e9, 4) for n, f in flops.items()},
        "minutes": settings.minutes,
        "rounds": settings.rounds,
        "batches_per_measurement": settings.batches,
        "seed": experiment.run.seed,
        "cores": available_cores(),
        "versions": versions(),
    }
