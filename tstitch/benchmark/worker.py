"""A process that samples in one way; the benchmark tells it when."""

import copy
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.cost.machine import device_name
from evaluation.cost.matmul import matmul_rate
from evaluation.cost.timing import StageTimer
from tstitch.config.groups import group_option
from tstitch.maker.batches import draw_unit, sample_units
from tstitch.maker.bootstrap import prepare_process
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment, SteppedMaker
from tstitch.maker.step_time import LEAST_S, stepped, time_step
from tstitch.maker.units import Unit, cut
from tstitch.run.shards import Shard, write_shard
from tstitch.runtime.memory import peak_bytes


class Worker:
    """A loaded pair under one engine, in this process.

    Args:
        config: of a run; the stitch fraction of each measurement replaces its schedule.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        experiment = parse_experiment(config)
        self._engine = prepare_process(experiment)[0]
        self._loaded = experiment.load(self._engine)
        self._makers: dict[float, SteppedMaker] = {}

    def prepare(self, fractions: tuple[float, ...]) -> dict[str, Any]:
        """Loads, compiles and runs every schedule's denoisers once.

        Returns:
            seconds by denoiser (compilation, recording), seconds that a batch should take by
            fraction (denoising alone), and what the engine is.
        """
        seconds: dict[str, float] = {}
        for fraction in fractions:
            maker = with_fraction(self._config, fraction).maker(self._loaded)
            self._makers[fraction] = stepped(maker, "benchmark")
            for name, value in maker.prepare().items():
                seconds[name] = max(value, seconds.get(name, 0.0))
        steps = self.step_seconds(0.0)
        return {
            "seconds": seconds,
            "seconds_by_fraction": {f: self._predicted(f, steps) for f in fractions},
            "engine": self._engine.describe(),
            "threads": torch.get_num_threads(),
            "device": device_name(self._engine.device),
        }

    def matmul(self) -> float:
        """FLOPs per second of square products in this precision."""
        rate = matmul_rate(self._engine.device, self._engine.dtype)
        if self._engine.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._engine.device)
        return rate

    def step_seconds(self, least: float = LEAST_S) -> dict[str, float]:
        """Seconds of one guided evaluation of a batch, by denoiser."""
        maker = next(iter(self._makers.values()))
        batch = _first_batch(maker)
        names = enumerate(maker.experiment.denoisers)
        return {name: time_step(maker, k, batch, least) for k, name in names}

    def sample(self, fraction: float, batches: int, folder: str) -> dict[str, Any]:
        """Samples and stores some batches, below a folder from which they are removed again.

        Returns:
            images, seconds from the first noise to the last file, and sums of the stages: in a
            row, and of those that run beside them.
        """
        maker = self._makers[fraction]
        size = maker.experiment.run.batch_size
        stages, beside = Counter[str](), Counter[str]()
        with tempfile.TemporaryDirectory(dir=folder) as scratch:

            def store(
                unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]
            ) -> None:
                shard = Shard(images, labels, "benchmark", times)
                begun = time.perf_counter()
                write_shard(Path(scratch), unit, shard)
                beside.update(times["background"] | {"write": time.perf_counter() - begun})
                stages.update(times["seconds"])

            started = time.perf_counter()
            sample_units(maker, cut(size * batches, size), store)
            seconds = time.perf_counter() - started
        return {
            "images": size * batches,
            "seconds": seconds,
            "stages": dict(stages),
            "beside": dict(beside),
        }

    def latents(self, fraction: float) -> np.ndarray:
        """x_0 of the first batch, float32 (N, C, H, W)."""
        maker, timer = self._makers[fraction], StageTimer(self._engine.device)
        return maker.denoise(_first_batch(maker), timer).cpu().numpy()

    def peak_bytes(self) -> int:
        """Of the device's memory on CUDA since the last matmul(), else of the process."""
        return peak_bytes(self._engine.device)

    def _predicted(self, fraction: float, steps: dict[str, float]) -> float:
        counts = self._makers[fraction].experiment.steps_per_denoiser
        return sum(count * steps[name] for name, count in counts.items())


def _first_batch(maker: SteppedMaker) -> Any:
    return draw_unit(maker, Unit(0, maker.experiment.run.batch_size))[0]


def with_fraction(config: dict[str, Any], fraction: float) -> Experiment:
    """A run's configuration with this stitch fraction instead of its schedule."""
    section = group_option("stitch", "fraction") | {"fraction": fraction}
    axis = config["stitch"].get("axis", section["axis"])
    return parse_experiment(copy.deepcopy(config) | {"stitch": section | {"axis": axis}})
