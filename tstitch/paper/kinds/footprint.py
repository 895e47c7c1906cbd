"""Parameters, storage and memory of one model, and of two that are stitched (Table 8)."""

import multiprocessing
import os
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, ClassVar

import torch

from evaluation.cost.timing import StageTimer
from evaluation.report.table import Table, table_lines
from tstitch.config.groups import group_option
from tstitch.maker.batches import draw_unit
from tstitch.maker.bootstrap import prepare_process
from tstitch.maker.units import Unit
from tstitch.pair.network_cost import network_costs
from tstitch.pair.spec import locate_weights
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.probe import SampledFigure
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.report.answers import Untestable
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.memory import peak_bytes
from tstitch.sampling.experiment import PairExperiment

REPEATS = 5  # what the allocator and the machine add differs from process to process
OVERHEAD = 1.1  # of two models over the large one


@dataclass(frozen=True, slots=True)
class Footprint:
    """What some models take together."""

    models: list[str]
    parameters: int
    storage_bytes: int | None  # of the weights' files; None without
    memory_bytes: float  # the median of memory_rounds
    memory_rounds: list[int]  # of a process each, REPEATS of them

    def times(self, other: "Footprint") -> tuple[float, float]:
        """Least and most that its memory is of another's, over all pairs of repetitions."""
        own, others = self.memory_rounds, other.memory_rounds
        return min(own) / max(others), max(own) / min(others)


def c23(data: FigureData) -> Answer:
    _, large, both = data.measured
    if not (large.storage_bytes and both.storage_bytes):
        raise Untestable("the size of the weights' files is not known")
    parameters, memory, storage = (
        getattr(both, name) / getattr(large, name)
        for name in ("parameters", "memory_bytes", "storage_bytes")
    )
    low, high = both.times(large)
    numbers = (
        f"parameters {parameters - 1:+.1%}, memory {memory - 1:+.1%} [{low - 1:+.1%}, "
        f"{high - 1:+.1%}] (least and most of the repetitions), storage {storage - 1:+.1%}"
    )
    if max(parameters, storage) > OVERHEAD or low > OVERHEAD:
        return False, numbers
    return True if high <= OVERHEAD else None, numbers


class FootprintFigure(SampledFigure):
    """A table of small alone, large alone, and both at fraction 0.5."""

    kind: ClassVar = "footprint"
    claim_tests: ClassVar = {"C23": c23}
    fixed_images: ClassVar = True  # it is about one batch of the stated size

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> list[Footprint]:
        images = self.probe.images
        experiment = self.point(settings).of_denoisers
        # One batch, as large as asked for, whatever the runs of other figures have.
        config = experiment.config | {"run": experiment.config["run"] | {"batch_size": images}}
        run = experiment.run.model_copy(update={"batch_size": images})
        alone = replace(experiment, config=config, run=run)
        shared = cache.of(experiment)  # fetches the weights

        def measure() -> dict[str, Any]:
            cache.release()
            return distributed.on_main(
                lambda: {"rows": [asdict(row) for row in measure_footprint(alone)]}
            )

        key = measurement_key(experiment, self, shared) | {"repeats": REPEATS}
        return [Footprint(**row) for row in measure_once(self, settings, key, measure)["rows"]]

    def tables(self, data: FigureData) -> list[str]:
        rows = [
            [" + ".join(row.models), f"{row.parameters / 1e6:.2f}", _mega(row.storage_bytes),
             _mega(row.memory_bytes), *(_mega(end(row.memory_rounds)) for end in (min, max))]
            for row in data.measured
        ]  # fmt: skip
        header = ["models", "parameters (M)", "storage (MB)", "peak memory (MB)", "least", "most"]
        return ["## Memory and storage", "", *table_lines(Table(header, rows)), ""]


def _mega(count: float | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2f}"


def measure_footprint(experiment: PairExperiment) -> list[Footprint]:
    """Small alone, large alone, and both at fraction 0.5; on rank 0.

    Args:
        experiment: of a pair of two, batch size as it is to be measured.
    """
    small, large = (spec.name for spec in experiment.pair.denoisers)
    sizes = network_costs(experiment.pair)
    every = ((small,), (large,), (small, large))
    rounds: dict[tuple[str, ...], list[int]] = {names: [] for names in every}
    for _ in range(REPEATS):  # in turn: whatever drifts, drifts for all
        for names in every:
            rounds[names].append(_in_a_process(_config(experiment, names)))
    rows = []
    for names in every:
        specs = [spec for spec in experiment.pair.denoisers if spec.name in names]
        files = [locate_weights(spec) for spec in specs]
        sizes_on_disk = [file.stat().st_size for file in files if file is not None]
        rows.append(
            Footprint(
                models=list(names),
                parameters=sum(sizes[name].parameters for name in names),
                storage_bytes=None if None in files else sum(sizes_on_disk),
                memory_bytes=median(rounds[names]),
                memory_rounds=rounds[names],
            )
        )
    return rows


def _config(experiment: PairExperiment, names: tuple[str, ...]) -> dict[str, Any]:
    """The run with some of its denoisers alone; two take half of the steps each."""
    pair = experiment.config["pair"]
    kept = {name: pair["denoisers"][name] for name in names}
    steps = len(experiment.sampler.evaluations)
    models = [int(2 * step >= steps) for step in range(steps)]
    section = {"_target_": "samplers.Explicit", "models": [m * (len(names) - 1) for m in models]}
    return experiment.config | {
        "pair": pair | {"denoisers": kept},
        "stitch": section,
        "evaluation": group_option("evaluation", "none"),
    }


def _in_a_process(config: dict[str, Any]) -> int:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_sample, args=(there, config, distributed.local_rank()))
    process.start()
    there.close()
    try:
        error, result = here.recv()
    except EOFError:
        error, result = "table8: a process died, probably for want of memory", 0
    process.join()
    if error:
        raise UserError(error)
    return result


def _sample(connection: Connection, config: dict[str, Any], local_rank: int) -> None:
    """Samples one batch; sends what the process's memory grew by from before the networks."""
    os.environ |= {"LOCAL_RANK": str(local_rank), "LOCAL_WORLD_SIZE": "1"}
    try:
        experiment = PairExperiment.parse(config)
        engine = prepare_process(experiment)[0]
        before = peak_bytes(engine.device)
        pipeline = experiment.maker(experiment.load(engine))
        pipeline.prepare()
        batch, _ = draw_unit(pipeline, Unit(0, experiment.run.batch_size))
        pipeline.sample(batch, StageTimer(engine.device)).wait()
        connection.send((None, peak_bytes(engine.device) - before))
    except UserError as error:
        connection.send((str(error), 0))
    except torch.OutOfMemoryError:
        connection.send(("table8: out of device memory; other processes must be idle", 0))
