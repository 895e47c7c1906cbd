"""Runs the cases of a benchmark in turns and keeps every number."""

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.benchmark.settings import BenchmarkSettings, Case
from tstitch.benchmark.worker import serve
from tstitch.errors import UserError

PATIENCE_S = 5  # for a process whose connection is closed
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Measured:
    """What was measured of a case; every list has one entry per round."""

    case: Case
    setup: dict[str, Any]  # see Worker.prepare
    steps: list[dict[str, float]] = field(default_factory=list)  # seconds by denoiser
    matmul: list[float] = field(default_factory=list)  # FLOPs per second of one process
    rates: dict[float, list[float]] = field(default_factory=dict)  # images/s by fraction
    stages: list[dict[str, float]] = field(default_factory=list)  # seconds / image, fraction 0
    beside: list[dict[str, float]] = field(default_factory=list)  # the same, at the same time
    peak_bytes: int = 0  # of one process
    deviation: float = 0.0  # of the latents at fraction 0, relative


class Crew:
    """The processes of one case.

    Args:
        case: what they run.
        config: of a run, without the section `benchmark`.
    """

    def __init__(self, case: Case, config: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._ends, self._processes = [], []
        for number in range(case.processes):
            here, there = context.Pipe()
            arguments = (there, case.config(config), number, case.processes)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            there.close()
            self._ends.append(here)
            self._processes.append(process)

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        """Calls a method of every process's Worker at the same time.

        Raises:
            UserError: of any of them.
        """
        try:
            for end in self._ends:
                end.send((method, arguments))
            answers = [end.recv() for end in self._ends]
        except (EOFError, OSError) as error:
            raise UserError(
                "benchmark: a process died, probably for want of memory; choose smaller "
                "benchmark.batch_sizes"
            ) from error
        for message, _ in answers:
            if message is not None:
                raise UserError(message)
        return [result for _, result in answers]

    def end(self) -> None:
        """Ends the processes and waits for them."""
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.join(PATIENCE_S)
            process.terminate()


def measure_group(
    cases: Sequence[Case], config: dict[str, Any], settings: BenchmarkSettings, folder: Path
) -> list[Measured]:
    """Measures cases in turns: each once per round, so that a busy machine slows all alike.

    Args:
        folder: where shards are written, and removed again.

    Raises:
        UserError: weights, precision or options that are not to be had, or too little memory.
    """
    with running(cases, config) as crews:
        results = []
        for case, crew in zip(cases, crews, strict=True):
            log.info("%s: starting", case.name)
            results.append(Measured(case, crew.ask("prepare", settings.fractions)[0]))
        _compare_latents(results, crews)
        for number in range(settings.rounds):
            log.info("round %d of %d", number + 1, settings.rounds)
            pairs = list(zip(results, crews, strict=True))
            for result, crew in rotated(pairs, number):
                _measure_once(result, crew, settings, number, folder)
        for result, crew in zip(results, crews, strict=True):
            result.peak_bytes = max(crew.ask("peak_bytes"))
    return results


@contextmanager
def running(cases: Sequence[Case], config: dict[str, Any]) -> Iterator[list[Crew]]:
    """The processes of every case, ended when the block ends."""
    crews: list[Crew] = []
    try:
        for case in cases:
            crews.append(Crew(case, config))
        yield crews
    finally:
        for crew in crews:
            crew.end()


def rotated(values: Sequence[Any], number: int) -> list[Any]:
    """Another one first in every round: whoever follows a pause finds a cooler machine."""
    first = number % len(values)
    return [*values[first:], *values[:first]]


def _measure_once(
    result: Measured, crew: Crew, settings: BenchmarkSettings, number: int, folder: Path
) -> None:
    result.matmul.append(float(np.mean(crew.ask("matmul"))))
    each = crew.ask("step_seconds")
    result.steps.append({name: float(np.mean([e[name] for e in each])) for name in each[0]})
    for fraction in rotated(settings.fractions, number):
        answers = crew.ask("sample", fraction, settings.batches, str(folder))
        images = sum(answer["images"] for answer in answers)
        seconds = max(answer["seconds"] for answer in answers)
        result.rates.setdefault(fraction, []).append(images / seconds)
        if fraction == 0:
            result.stages.append(_per_image(answers, "stages"))
            result.beside.append(_per_image(answers, "beside"))


def _per_image(answers: list[dict[str, Any]], group: str) -> dict[str, float]:
    """Seconds per image and process of each stage of `stages` or `beside`.

    The former get `edges`: before the first batch and after the last.
    """
    images = sum(answer["images"] for answer in answers)
    stages = {
        name: sum(answer[group][name] for answer in answers) / images for name in answers[0][group]
    }
    if group == "beside":
        return stages
    whole = sum(answer["seconds"] for answer in answers) / images
    return stages | {"edges": whole - sum(stages.values())}


def _compare_latents(results: list[Measured], crews: list[Crew]) -> None:
    """Relative error |x - x_ref| / |x_ref| of x_0 against the first case, the plain one."""
    reference = crews[0].ask("latents", 0.0)[0]
    for result, crew in zip(results[1:], crews[1:], strict=True):
        difference = np.linalg.norm(crew.ask("latents", 0.0)[0] - reference)
        result.deviation = float(difference / np.linalg.norm(reference))
