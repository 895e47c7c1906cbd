"""What several runs share: weights, loaded denoisers and the evaluator."""

import gc
import logging
from pathlib import Path
from typing import Any

import torch

from tstitch import distributed
from tstitch.engine.host import prepare_host
from tstitch.engine.settings import Engine, choose_engines
from tstitch.errors import UserError
from tstitch.experiment import Experiment
from tstitch.loaded import LoadedPair
from tstitch.pair import locate_entry, locate_weights, space_errors
from tstitch.rundir import RunDirectory
from tstitch.scoring.compare import read_floors
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples
from tstitch.weights import newly_read, weights_digest

NO_REFERENCE = (
    "evaluation.reference=null: nothing will be evaluated; give the real images or their "
    "statistics, evaluation.reference=PATH, or choose evaluation=none"
)
log = logging.getLogger(__name__)


class Resources:
    """Loads the denoisers and the evaluator when they are first needed, then keeps them.

    Every rank makes one and calls it alike. All runs that share it have one pair, device,
    precision, engine and evaluation.

    Args:
        experiment: any of the runs.
        before: of other runs; its evaluator is taken over if it is the same.
        evaluations: of a batch by the busiest process, over all the runs; None = many.

    Attributes:
        engine: of a run that begins now; one that was begun keeps its own, see `engine_of`.

    Raises:
        UserError: a device, precision or engine option that is not there, or no weights.
    """

    def __init__(
        self,
        experiment: Experiment,
        before: "Resources | None" = None,
        evaluations: int | None = None,
    ) -> None:
        self._engines = choose_engines(experiment.engine, experiment.run, evaluations)
        self.engine = self._engines[0]
        prepare_host(self.engine)
        self._experiment = experiment
        self.evaluation = experiment.evaluation
        self._loaded: LoadedPair | None = None
        distributed.start()
        self._engines = _alike(self._engines)
        # Rank 0 fetches first, the others find the files in the cache.
        self.digests: dict[str, str]
        self.entries: dict[str, str | None]  # of the files, which were read; None = all of it
        self.digests, self.entries = distributed.on_main(self._weights)
        self.evaluator: Evaluator | None = None
        self.floors: list[dict[str, Any]] = []
        settings = experiment.evaluation
        if settings.extractor is not None and settings.reference is None:
            log.warning(NO_REFERENCE)
        if settings.enabled:
            kept = before.evaluator if before is not None and self._measures_as(before) else None
            evaluator = self.evaluator = kept or Evaluator(settings, self.engine.device)
            size = experiment.pair.space.image_size
            evaluator.check_size(size, size, f"pair={experiment.pair.name}")
            space, digest = evaluator.space, evaluator.identity["reference"]
            self.floors = distributed.on_main(lambda: read_floors(settings.floor, space, digest))

    def loaded(self, engine: Engine | None = None) -> LoadedPair:
        """The denoisers on this rank's device.

        Args:
            engine: of `engine_of`, None = of a run that begins now. One at a time is loaded.
        """
        engine = engine or self.engine
        if self._loaded is not None and self._loaded.engine != engine:
            self.unload()
        if self._loaded is None:
            pair = self._experiment.pair
            self._loaded = distributed.everywhere(
                lambda: LoadedPair(
                    pair, engine, {spec.name: locate_weights(spec) for spec in pair.denoisers}
                )
            )
        return self._loaded

    def decides(self, experiment: Experiment) -> dict[str, Any]:
        """What decides the images of one of the runs, which names its directory.

        Where the engine is `auto`, a directory that holds images goes on with the engine that
        they were made with.

        Raises:
            UserError: a space whose files are not there.
        """
        options = self.candidates(experiment)
        if not experiment.run.overwrite or distributed.restarts():
            for option in options:
                begun = RunDirectory(experiment.directory(option)).begun_with()
                if begun is not None and begun.get("engine") == option["engine"]:
                    return option
        return options[0]

    def candidates(self, experiment: Experiment) -> list[dict[str, Any]]:
        """What decides the images under each engine that `auto` may come to, this run's first."""
        with space_errors():
            experiment.pair.space.to(self.engine.device)  # its precision is one of the values
            options = [
                experiment.decides(self.digests, engine.precision, engine.decides())
                for engine in self._engines
            ]
        entries = newly_read(self.entries)
        return [option | {"entries": entries} for option in options] if entries else options

    def engine_of(self, decides: dict[str, Any]) -> Engine:
        """The engine of what `decides` came to."""
        return next(e for e in self._engines if e.decides() == decides["engine"])

    def unload(self) -> None:
        """Frees the denoisers; they are loaded again when they are needed."""
        self._loaded = None
        gc.collect()  # closures of an engine hold the networks in cycles
        if self.engine.device.type == "cuda":
            torch.cuda.empty_cache()

    def evaluate(self, samples: Path) -> dict[str, Any]:
        """Metrics of a samples.npz, on every rank; for runs whose evaluation is enabled."""
        assert self.evaluator is not None
        images = distributed.everywhere(lambda: open_samples(samples, "samples"))
        return self.evaluator.evaluate(images, f"samples={samples}")

    def _measures_as(self, other: "Resources") -> bool:
        return (self.evaluation, self.engine.device) == (other.evaluation, other.engine.device)

    def _weights(self) -> tuple[dict[str, str], dict[str, str | None]]:
        """Digest and entry by denoiser; what does not fit is refused before it is loaded."""
        pair, digests, entries = self._experiment.pair, {}, {}
        for spec in pair.denoisers:
            path = locate_weights(spec)
            digests[spec.name] = weights_digest(path)
            entries[spec.name] = locate_entry(pair, spec, path)
        return digests, entries


def _alike(engines: list[Engine]) -> list[Engine]:
    """Makes sure that every rank computes the same bits; drops choices that only some have."""
    own = [{"dtype": engine.precision} | engine.decides() for engine in engines]
    every = distributed.gather(own)
    first = every[0][0]
    for rank, (other, *_) in enumerate(every):
        for name in first:
            if other[name] != first[name]:
                raise UserError(
                    f"engine: {name} is {first[name]} on rank 0 and {other[name]} on rank {rank}; "
                    "set run.device, run.dtype and engine.compile, not auto"
                )
    return engines if all(choices == every[0] for choices in every) else engines[:1]
