"""What several runs share: loaded networks and the evaluator."""

import gc
import logging
from pathlib import Path
from typing import Any

import torch

from tstitch.engine.settings import Engine
from tstitch.maker.bootstrap import prepare_process
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import Experiment, ImageMaker
from tstitch.run.directory import RunDirectory
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.scoring.compare import read_floors
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples

NO_REFERENCE = (
    "evaluation.reference=null: nothing will be evaluated; give the real images or their "
    "statistics, evaluation.reference=PATH, or choose evaluation=none"
)
log = logging.getLogger(__name__)


class SharedModels:
    """Loads the networks when they are first needed, then keeps them; has the evaluator.

    Every rank makes one and calls it alike. All runs that share it have one pair, device,
    precision, engine and evaluation.

    Args:
        experiment: any of the runs.
        before: of other runs; its evaluator is taken over if it is the same.
        evaluations: of a batch by the busiest process, over all the runs; None = many.

    Attributes:
        engine: of a run that begins now; one that was begun keeps its own, see `engine_of`.
        weights: of the denoisers, by name.

    Raises:
        UserError: a device, precision or engine option that is not there, or no weights.
    """

    def __init__(
        self,
        experiment: Experiment,
        before: "SharedModels | None" = None,
        evaluations: int | None = None,
    ) -> None:
        engines = prepare_process(experiment, evaluations)
        distributed.start()
        self._engines = _alike(engines)
        self.engine = self._engines[0]
        self._experiment = experiment
        self.evaluation = experiment.evaluation
        self._loaded: tuple[Engine, Any] | None = None
        # Rank 0 fetches first, the others find the files in the cache.
        self.weights = distributed.on_main(experiment.weights)
        self.evaluator: Evaluator | None = None
        self.floors: list[Evaluation] = []
        settings = experiment.evaluation
        if settings.extractor is not None and settings.reference is None:
            log.warning(NO_REFERENCE)
        if settings.enabled:
            kept = before.evaluator if before is not None and self._measures_as(before) else None
            evaluator = self.evaluator = kept or Evaluator(settings, self.engine.device)
            evaluator.check_size(*experiment.image_shape, f"pair={experiment.name}")
            space, digest = evaluator.space, evaluator.identity.reference
            self.floors = distributed.on_main(lambda: read_floors(settings.floor, space, digest))

    def maker(self, experiment: Experiment, engine: Engine | None = None) -> ImageMaker:
        """What makes the images of one of the runs, on this rank's device.

        Args:
            engine: of `engine_of`, None = of a run that begins now. One at a time is loaded.
        """
        engine = engine or self.engine
        if self._loaded is not None and self._loaded[0] != engine:
            self.unload()
        if self._loaded is None:
            self._loaded = engine, distributed.everywhere(lambda: self._experiment.load(engine))
        return experiment.maker(self._loaded[1])

    def identity(self, experiment: Experiment) -> Identity:
        """What decides the images of one of the runs, which names its directory.

        Where the engine is `auto`, a directory that holds images goes on with the engine that
        they were made with.

        Raises:
            UserError: files that are not there.
        """
        identities = self.identities(experiment)
        if not experiment.run.overwrite or distributed.restarts():
            for identity in identities:
                begun = RunDirectory(experiment.directory(identity)).begun_with()
                if begun is not None and begun.engine == identity.engine:
                    return identity
        return identities[0]

    def identities(self, experiment: Experiment) -> list[Identity]:
        """What decides the images under each engine that `auto` may come to, this run's first."""
        return [experiment.identity(self.weights, engine) for engine in self._engines]

    def engine_of(self, identity: Identity) -> Engine:
        """The engine of what `identity` came to."""
        return next(e for e in self._engines if e.identity() == identity.engine)

    def unload(self) -> None:
        """Frees the networks; they are loaded again when they are needed."""
        self._loaded = None
        gc.collect()  # closures of an engine hold the networks in cycles
        if self.engine.device.type == "cuda":
            torch.cuda.empty_cache()

    def evaluate(self, samples: Path) -> Evaluation:
        """Metrics of a samples.npz, on every rank; for runs whose evaluation is enabled."""
        assert self.evaluator is not None
        images = distributed.everywhere(lambda: open_samples(samples, "samples"))
        if self._experiment.has_prompts:
            images.prompts = self._experiment.conditions
        return self.evaluator.evaluate(images, f"samples={samples}")

    def _measures_as(self, other: "SharedModels") -> bool:
        return (self.evaluation, self.engine.device) == (other.evaluation, other.engine.device)


def _alike(engines: list[Engine]) -> list[Engine]:
    """Makes sure that every rank computes the same bits; drops choices that only some have."""
    every = distributed.gather(
        [{"dtype": engine.precision} | engine.identity() for engine in engines]
    )
    first = every[0][0]
    for rank, (other, *_) in enumerate(every):
        for name in first:
            if other[name] != first[name]:
                raise UserError(
                    f"engine: {name} is {first[name]} on rank 0 and {other[name]} on rank {rank}; "
                    "set run.device, run.dtype and engine.compile, not auto"
                )
    return engines if all(choices == every[0] for choices in every) else engines[:1]
