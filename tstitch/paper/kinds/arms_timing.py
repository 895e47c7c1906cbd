"""Latency and load of arms, in rounds in which they take turns."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import torch

from evaluation.cost.timing import StageTimer
from tstitch.benchmark.measure import rotated
from tstitch.maker.batches import draw_unit
from tstitch.maker.protocol import LOOP, Experiment, ImageMaker
from tstitch.maker.units import Unit
from tstitch.paper.kinds.arms_settings import ArmTiming
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.threads import available_cores, set_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArmTimes:
    """Seconds by arm: median, least and most over the rounds."""

    # Of one image, the networks alone; and of a whole batch, decoded and on the host.
    latency: dict[str, list[float]]
    load: dict[str, list[float]]
    batch_size: int
    rounds: int
    threads: int
    cores: int


def time_arms(
    experiments: Mapping[str, tuple[Experiment, Experiment]], settings: ArmTiming
) -> ArmTimes:
    """Times one image and one batch of every arm; every rank calls it alike, rank 0 works.

    Args:
        experiments: by arm, in batches of one image and of `settings.batch_size`; not evaluated.
    """
    makers: dict[str, tuple[ImageMaker, ImageMaker]] = {}
    for name, (alone, whole) in experiments.items():
        shared = SharedModels(alone)
        makers[name] = shared.maker(alone), shared.maker(whole)
    threads, seconds = distributed.on_main(lambda: _rounds(makers, settings))
    return ArmTimes(
        latency={name: _spread(rows[0]) for name, rows in seconds.items()},
        load={name: _spread(rows[1]) for name, rows in seconds.items()},
        batch_size=settings.batch_size,
        rounds=settings.rounds,
        threads=threads,
        cores=available_cores(),
    )


def _rounds(
    makers: Mapping[str, tuple[ImageMaker, ImageMaker]], settings: ArmTiming
) -> tuple[int, dict[str, tuple[list[float], list[float]]]]:
    for alone, whole in makers.values():
        alone.prepare()
        whole.prepare()
    set_threads(alone.engine.threads)
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in makers}
    for number in range(settings.rounds + 1):
        log.info("timing: round %d of %d", number, settings.rounds)
        for name in rotated(list(makers), number):
            one, many = makers[name]
            latency, _ = _time(one, 1)
            _, load = _time(many, settings.batch_size)
            if number:  # the first one warms up
                found[name][0].append(latency)
                found[name][1].append(load)
    return torch.get_num_threads(), found


def _time(maker: ImageMaker, size: int) -> tuple[float, float]:
    """Seconds of the networks and the sampler, and of everything, for one batch."""
    batch, _ = draw_unit(maker, Unit(0, size))
    timer = StageTimer(maker.engine.device)
    started = time.perf_counter()
    maker.sample(batch, timer).wait()
    return timer.seconds()[LOOP], time.perf_counter() - started


def _spread(seconds: list[float]) -> list[float]:
    return [median(seconds), min(seconds), max(seconds)]
