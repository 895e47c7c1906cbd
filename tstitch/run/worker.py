"""One of several workers that share a run without a process group: batches are claimed, not dealt.

Workers may come late, be slow, die or come again; the last one writes what a run leaves.
"""

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tstitch.maker.batches import sample_units
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.maker.units import Unit, cut
from tstitch.run.claims import Claims, name_of
from tstitch.run.directory import RunDirectory, writing
from tstitch.run.evaluation import score_run
from tstitch.run.progress import shard_progress
from tstitch.run.results import plan_run, write_results, written_files
from tstitch.run.samples import SAMPLES, count_images
from tstitch.run.schedule import resolve_schedule
from tstitch.run.shards import Shard, file_names, listed, open_units, write_shard
from tstitch.run.shared_models import SharedModels
from tstitch.run.tracked import track_run
from tstitch.runtime.errors import UserError
from tstitch.runtime.workers import Worker
from tstitch.tracking.tracker import start_tracking

POLL_S = 1.0  # while others make the last batches, and longer each time
LONGEST_POLL_S = 10.0
# Of batches that nobody has a worker tries some at a time, this often; of those that others have it
# asks for a few whether the others live: at the end of a run the dead ones' alone are left.
LOOKS, TRIES = 8, 4
OTHERS = 2
FINISH, UNPACK = "finish", "unpack"
log = logging.getLogger(__name__)


def run_worker(config: dict[str, Any], worker: Worker) -> Path:
    """Makes batches of a run until none is missing; finishes it if nobody else does.

    Raises:
        UserError: bad input; what all workers finished stays.
    """
    if config["run"].get("overwrite"):
        raise UserError(
            "run.overwrite=true: workers of a job would remove each other's images; run the "
            "command once by itself, or choose another run.dir"
        )
    config, shared = resolve_schedule(config)
    experiment = parse_experiment(config)
    evaluations = None if worker.count is None else experiment.evaluations(worker.count)
    shared = shared or SharedModels(experiment, evaluations=evaluations)
    identity = shared.identity(experiment)
    directory = RunDirectory(experiment.directory(identity))
    # A job that is ended gives back what it has.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _work(directory, identity, experiment, shared, worker)
    finally:
        signal.signal(signal.SIGTERM, before)


def _work(
    directory: RunDirectory,
    identity: Identity,
    experiment: Experiment,
    shared: SharedModels,
    worker: Worker,
) -> Path:
    with ExitStack() as stack:
        with writing(directory.path):
            claims = stack.enter_context(Claims(directory.path))
        directory.join(identity, experiment, claims.name)
        share = _Share(directory, experiment, shared, claims, worker)
        share.unpack()
        damaged: list[Unit] = []
        while True:
            share.make(damaged)
            if not share.take(FINISH):
                log.info("%s: another worker finishes it", directory.path)
                return directory.path
            # Reads every file: what is damaged is made anew.
            damaged = plan_run(directory, experiment)
            if not damaged:
                return _finish(directory, experiment, shared)
            claims.give_back(FINISH)


class _Share:
    """What this worker makes of the run, one claim after the other."""

    def __init__(
        self,
        directory: RunDirectory,
        experiment: Experiment,
        shared: SharedModels,
        claims: Claims,
        worker: Worker,
    ) -> None:
        self._directory, self._experiment, self._shared = directory, experiment, shared
        self._claims, self._worker = claims, worker
        self._made = self._looked = 0

    def unpack(self) -> None:
        """Makes shards of the images that a smaller run has in its samples.npz alone; one does."""
        run, packed = self._experiment.run, count_images(self._directory.path / SAMPLES)
        if not 0 < packed < run.num_images:
            return
        while not self.take(UNPACK):
            time.sleep(POLL_S)
        if any(unit.end <= packed for unit in self._missing()):
            plan_run(self._directory, self._experiment)
        self._claims.give_back(UNPACK)

    def make(self, damaged: Sequence[Unit]) -> None:
        """Samples until no batch is missing, whoever made it.

        Args:
            damaged: batches that are missing though a file says otherwise.
        """
        directory, run = self._directory, self._experiment.run
        if not (damaged or self._missing()):
            return
        bar: AbstractContextManager[None] = nullcontext()
        if self._worker.number == 0:
            bar = shard_progress(directory.shards, run.num_images, lambda done, total: None)
        pause = POLL_S
        with bar:
            while missing := self._missing() or self._without_shard(damaged):
                before = self._made
                claimed = self._claimed(missing)
                first = next(claimed, None)
                if first is not None:
                    maker = self._shared.maker(
                        self._experiment, self._shared.engine_of(directory.identity)
                    )
                    sample_units(maker, _after(first, claimed), self._store)
                if self._made == before:
                    time.sleep(pause)  # the others are at the last ones
                pause = min(1.5 * pause, LONGEST_POLL_S) if self._made == before else POLL_S
        log.info("%s: worker %d made %d images", directory.path, self._worker.number, self._made)

    def take(self, what: str) -> bool:
        """Claims a piece of work.

        Raises:
            UserError: the directory cannot be written.
        """
        with writing(self._directory.path):
            return self._claims.take(what)

    def _missing(self) -> list[Unit]:
        """Batches without a shard; nothing is read."""
        run = self._experiment.run
        found = open_units(cut(run.num_images, run.batch_size), listed(self._directory.shards))
        packed = found and count_images(self._directory.path / SAMPLES) >= run.num_images
        return [] if packed else found

    def _without_shard(self, units: Sequence[Unit]) -> list[Unit]:
        return [unit for unit in units if not self._path(unit).exists()]

    def _path(self, unit: Unit) -> Path:
        return self._directory.shards / f"{name_of(unit)}.npz"

    def _claimed(self, units: list[Unit]) -> Iterator[Unit]:
        """Those that no living worker has, beginning where this one's number says."""
        number = self._worker.number
        start = len(units) * number // (self._worker.count or number + 1)
        units = units[start:] + units[:start]
        while (unit := self._next(units)) is not None:
            yield unit

    def _next(self, units: list[Unit]) -> Unit | None:
        """Claims one of them; None if others have all, or are always faster.

        Two folders are listed for each: a thousand workers that ask for every batch of the others
        by itself are more than a cluster's file system can answer.
        """
        for _ in range(TRIES):
            made = file_names(self._directory.shards)
            units[:] = [unit for unit in units if f"{name_of(unit)}.npz" not in made]
            held, theirs = self._claims.held(), [unit for unit in units if not self._has(unit)]
            free = [unit for unit in theirs if name_of(unit) not in held]
            others = [unit for unit in theirs if name_of(unit) in held]
            unit = next(self._taken([*free[:LOOKS], *self._few(others)]), None)
            if unit is not None or not free:
                return unit
        return None

    def _has(self, unit: Unit) -> bool:
        return self._claims.has(name_of(unit))

    def _taken(self, units: Sequence[Unit]) -> Iterator[Unit]:
        for unit in units:
            if not self.take(name_of(unit)):
                continue
            if self._path(unit).exists():  # made between the look and the claim
                self._claims.give_back(name_of(unit))
            else:
                yield unit

    def _few(self, others: list[Unit]) -> list[Unit]:
        """Some whose workers may be dead, at each call the next ones."""
        place = self._looked % max(1, len(others))
        self._looked += OTHERS
        return (others[place:] + others[:place])[:OTHERS]

    def _store(
        self, unit: Unit, images: np.ndarray, labels: np.ndarray, times: dict[str, Any]
    ) -> None:
        owner = self._directory.identity.fingerprint
        with writing(self._directory.path):
            write_shard(self._directory.shards, unit, Shard(images, labels, owner, times))
            self._claims.give_back(name_of(unit))
        self._made += len(unit)


def _after(first: Unit, others: Iterator[Unit]) -> Iterator[Unit]:
    yield first
    yield from others


def _finish(directory: RunDirectory, experiment: Experiment, shared: SharedModels) -> Path:
    """Everything outside shards/, and the evaluation."""
    with start_tracking(experiment.tracking, "sample", experiment.config) as tracker:
        engine = shared.engine_of(directory.identity)
        run = write_results(directory, experiment, engine, shared.weights)
        run = score_run(run, experiment, shared)
        track_run(tracker, run)
    log.info("%s: %s", run.folder, ", ".join(written_files(run.folder)))
    return run.folder
