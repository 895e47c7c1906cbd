"""What several runs share: weights, loaded denoisers and the evaluator."""

import gc
import logging
from pathlib import Path
from typing import Any

import torch

from tstitch import distributed
from tstitch.engine.host import prepare_host
from tstitch.engine.settings import Engine, choose_engine
from tstitch.errors import UserError
from tstitch.experiment import Experiment
from tstitch.loaded import LoadedPair
from tstitch.pair import locate_entry, locate_weights, space_errors
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

    Raises:
        UserError: a device, precision or engine option that is not there, or no weights.
    """

    def __init__(self, experiment: Experiment, before: "Resources | None" = None) -> None:
        self.engine = choose_engine(experiment.engine, experiment.run)
        prepare_host(self.engine)
        self._experiment = experiment
        self.evaluation = experiment.evaluation
        self._loaded: LoadedPair | None = None
        distributed.start()
        _check_alike(self.engine)
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
            same = before and before.evaluator and before.engine.device == self.engine.device
            if same and before.evaluation == settings:
                self.evaluator = before.evaluator
            else:
                self.evaluator = Evaluator(settings, self.engine.device)
            size = experiment.pair.space.image_size
            self.evaluator.check_size(size, size, f"pair={experiment.pair.name}")
            space, digest = self.evaluator.space, self.evaluator.identity["reference"]
            self.floors = distributed.on_main(lambda: read_floors(settings.floor, space, digest))

    def loaded(self) -> LoadedPair:
        """The denoisers on this rank's device."""
        if self._loaded is None:
            pair = self._experiment.pair
            self._loaded = distributed.everywhere(
                lambda: LoadedPair(
                    pair, self.engine, {spec.name: locate_weights(spec) for spec in pair.denoisers}
                )
            )
        return self._loaded

    def decides(self, experiment: Experiment) -> dict[str, Any]:
        """What decides the images of one of the runs, which names its directory.

        Raises:
            UserError: a space whose files are not there.
        """
        with space_errors():
            decides = experiment.decides(self.digests, self.engine.precision, self.engine.decides())
        entries = newly_read(self.entries)
        return decides | {"entries": entries} if entries else decides

    def unload(self) -> None:
        """Frees the denoisers; they are loaded again when they are needed."""
        self._loaded = None
        gc.collect()  # closures of an engine hold the networks in cycles
        if self.engine.device.type == "cuda":
            torch.cuda.empty_cache()

    def evaluate(self, samples: Path) -> dict[str, Any]:
        """Metrics of a samples.npz, on every rank."""
        images = distributed.everywhere(lambda: open_samples(samples, "samples"))
        return self.evaluator.evaluate(images, f"samples={samples}")

    def _weights(self) -> tuple[dict[str, str], dict[str, str | None]]:
        """Digest and entry by denoiser; what does not fit is refused before it is loaded."""
        pair, digests, entries = self._experiment.pair, {}, {}
        for spec in pair.denoisers:
            path = locate_weights(spec)
            digests[spec.name] = weights_digest(path)
            entries[spec.name] = locate_entry(pair, spec, path)
        return digests, entries


def _check_alike(engine: Engine) -> None:
    """Makes sure that every rank computes the same bits."""
    first, *others = distributed.gather({"dtype": engine.precision} | engine.decides())
    for rank, other in enumerate(others, 1):
        for name in first:
            if other[name] != first[name]:
                raise UserError(
                    f"engine: {name} is {first[name]} on rank 0 and {other[name]} on rank {rank}; "
                    "set run.device, run.dtype and engine.compile, not auto"
                )
