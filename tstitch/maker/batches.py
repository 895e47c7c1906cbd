"""Batches in a row: while one is sampled, the next is drawn and the last is stored."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.cost.timing import StageTimer
from tstitch.maker.labels import choose_labels
from tstitch.maker.protocol import DECODE, LOOP, CountedImages, ImageMaker, Images
from tstitch.maker.provenance import conditions
from tstitch.maker.units import Unit
from tstitch.runtime.threads import set_threads

BATCH = "batch"
# unit, images uint8 (n, H, W, 3), labels (n,) int64, times as in tstitch.run.shards.Shard
Store = Callable[[Unit, np.ndarray, np.ndarray, dict[str, Any]], None]


def sample_units(maker: ImageMaker, units: Iterable[Unit], store: Store) -> None:
    """Samples units one after the other; at most three batches are in memory at a time.

    Compiles and records first, where the engine does.

    Args:
        units: each is asked for when the one before it begins.
        store: called for each unit in order, in another thread; what it raises is raised here,
            and no further unit is stored.
    """
    coming = iter(units)
    unit = next(coming, None)
    if unit is None:
        return
    prepared, engine = maker.prepare(), maker.engine
    with _thread(engine.device) as drawing, _thread(engine.device) as storing:
        drawn = drawing.submit(_draw, maker, unit)
        stored: Future[None] | None = None
        end, first = StageTimer(engine.device).mark(), True
        while unit is not None:
            batch, labels, seconds = drawn.result()
            following = next(coming, None)
            if following is not None:
                drawn = drawing.submit(_draw, maker, following)
            if not engine.compile:  # torch compiles anew for another number
                set_threads(engine.threads)  # a command may have come or gone
            timer = StageTimer(engine.device)
            images = maker.sample(batch, timer)
            begin, end = end, timer.mark()
            timer.add(BATCH, begin, end)
            if stored is not None:
                stored.result()
            times: dict[str, Any] = {"images": len(unit), "warmup": first}
            times |= conditions(engine, maker.experiment.run.batch_size)
            times |= {"prepared": prepared, "background": {"noise": seconds}}
            stored = storing.submit(_store, store, unit, images, labels, timer, times)
            unit, first = following, False
        if stored is not None:
            stored.result()


def _thread(device: torch.device) -> ThreadPoolExecutor:
    """One thread whose device is this rank's: to wait on another would make a context there."""
    if device.type == "cuda":
        return ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,))
    return ThreadPoolExecutor(1)


def draw_unit(maker: ImageMaker, unit: Unit) -> tuple[Any, Tensor]:
    """What a unit's images begin with, and their labels (n,) int64 on the host."""
    run, num_classes = maker.experiment.run, len(maker.experiment.conditions)
    labels = choose_labels(run.classes, unit.indices, seed=run.seed, num_classes=num_classes)
    return maker.draw(unit.indices, labels, seed=run.seed), labels


def _draw(maker: ImageMaker, unit: Unit) -> tuple[Any, Tensor, float]:
    started = time.perf_counter()
    batch, labels = draw_unit(maker, unit)
    return batch, labels, time.perf_counter() - started


def _store(
    store: Store,
    unit: Unit,
    images: Images,
    labels: Tensor,
    timer: StageTimer,
    times: dict[str, Any],
) -> None:
    arrays = images.wait(), labels.numpy()
    times = times | {"seconds": _in_a_row(timer.seconds())}
    if isinstance(images, CountedImages) and images.steps is not None:
        times |= {"steps": images.steps.tolist()}
    store(unit, *arrays, times)


def _in_a_row(seconds: dict[str, float]) -> dict[str, float]:
    """Stages that add up to the time from the end of the last batch to the end of this one.

    `update` is the loop without its denoisers, `wait` what the device did nothing for.
    """
    inner = {n: s for n, s in seconds.items() if n not in (LOOP, DECODE, BATCH)}
    return inner | {
        "update": seconds[LOOP] - sum(inner.values()),
        DECODE: seconds[DECODE],
        "wait": seconds[BATCH] - seconds[LOOP] - seconds[DECODE],
    }
