"""One measurement of a case, and all that were made of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.benchmark.crew import Crew
from tstitch.benchmark.peers import PeerWorker
from tstitch.benchmark.settings import BenchmarkSettings, Case
from tstitch.benchmark.worker import Worker


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


def measure_once(
    result: Measured, crew: Crew, settings: BenchmarkSettings, number: int, folder: Path
) -> None:
    """Adds one round to what was measured of a case.

    Args:
        number: of the round, from 0; each begins with another fraction.
        folder: where shards are written, and removed again.

    Raises:
        UserError: too little memory.
    """
    if result.case.is_peer:
        _sample(result, crew, 0.0, settings.batches, folder)
    else:
        result.matmul.append(float(np.mean(crew.ask("matmul"))))
        each = crew.ask("step_seconds")
        result.steps.append({name: float(np.mean([e[name] for e in each])) for name in each[0]})
        for fraction in rotated(settings.fractions, number):
            answers = _sample(result, crew, fraction, settings.batches, folder)
            if fraction == 0:
                result.stages.append(_per_image(answers, "stages"))
                result.beside.append(_per_image(answers, "beside"))
    result.peak_bytes = max(result.peak_bytes, *crew.ask("peak_bytes"))


def start(case: Case, config: dict[str, Any]) -> Crew:
    """The processes of a case; they load their networks when they are first asked something."""
    adjusted = case.config(config)
    if case.is_peer:
        return Crew(partial(PeerWorker, adjusted, case.dtype, case.is_compiled), case.processes)
    return Crew(partial(Worker, adjusted), case.processes)


@contextmanager
def running(cases: Sequence[Case], config: dict[str, Any]) -> Iterator[list[Crew]]:
    """The processes of every case; those of the list are ended when the block ends."""
    crews: list[Crew] = []
    try:
        for case in cases:
            crews.append(start(case, config))
        yield crews
    finally:
        for crew in crews:
            crew.end()


def rotated(values: Sequence[Any], number: int) -> list[Any]:
    """Another one first in every round: whoever follows a pause finds a cooler machine."""
    first = number % len(values)
    return [*values[first:], *values[:first]]


def _sample(
    result: Measured, crew: Crew, fraction: float, batches: int, folder: Path
) -> list[dict[str, Any]]:
    answers = crew.ask("sample", fraction, batches, str(folder))
    images = sum(answer["images"] for answer in answers)
    seconds = max(answer["seconds"] for answer in answers)
    result.rates.setdefault(fraction, []).append(images / seconds)
    return answers


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
