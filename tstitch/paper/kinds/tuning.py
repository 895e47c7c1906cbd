"""Fine-tuning models on their own interval of timesteps, and on all (Table 6)."""

import logging
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, model_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields
from tstitch.config.cli import compose, override
from tstitch.maker.identity import Identity
from tstitch.pair.network_cost import network_costs
from tstitch.pair.spec import parse_pair
from tstitch.pair.weights import fetch_weights, weights_digest
from tstitch.paper.figure.base import Answer, Figure, FigureData
from tstitch.paper.figure.curves import ROLES, Shares, shares_of
from tstitch.paper.figure.measure import ModelCache
from tstitch.paper.figure.plan import configured_pair
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.report.answers import text
from tstitch.runtime import distributed
from tstitch.training.run import open_data, run_training
from tstitch.training.settings import TrainSettings

ALL, OWN, BEFORE = "all timesteps", "own interval", "pretrained"
log = logging.getLogger(__name__)


def c22(data: FigureData) -> Answer:
    at = {r.point.variant: r for r in data.results}
    own, every = at[OWN].minus(at[ALL]), at[ALL].minus(at[BEFORE])
    ends = ", ".join(f"{label} {at[label].value():.4g}" for label in (BEFORE, ALL, OWN))
    return own.high < 0 and every.high < 0, (
        f"{ends}; own minus all timesteps {text(own, '+')}, all timesteps minus pretrained "
        f"{text(every, '+')}"
    )


class TuningFigure(Figure):
    """A curve whose variants name models to train on timesteps; null = trained by the command."""

    kind: ClassVar = "tuning"
    needs_curves: ClassVar = True
    claim_tests: ClassVar = {"C22": c22}

    mix: Annotated[Shares, BeforeValidator(lambda mix: shares_of(mix, ROLES))]
    training: Annotated[tuple[str, ...], fields.words("train.steps=1000")]  # of scripts/train.py

    @model_validator(mode="after")
    def _check_trained(self) -> Self:
        if len(self.curves) > 1:
            raise fields.refusal("curves", "give one; its variants name the models to train")
        for role in (role for weights in self.curves[0].variants.values() for role in weights):
            if not self.mix[ROLES.index(role)]:
                raise fields.refusal("mix", f"give {role}, which is trained, a share")
        return self

    def check_inputs(self, settings: Reproduction) -> None:
        trio = settings.scale.pairs[ROLES]
        words = [f"pair={trio}", "train.denoiser=large", *self.training, *settings.training]
        config = compose("train", words)
        TrainSettings.parse(config["train"], context={"denoisers": ROLES})
        distributed.main_first(lambda: open_data(config["data"], parse_pair(config["pair"])))

    def cost_lines(self, settings: Reproduction) -> list[str]:
        flops, hours, rate = self.count_training(settings), "", settings.throughput
        if rate is not None and not rate.source:  # a benchmark samples, which is other work
            hours = f", {flops / rate.flops_per_second / 3600:,.1f} hours"
        return [
            f"  trainings: {' '.join([*self.training, *settings.training])}",
            f"  {flops / 1e15:,.2f} PFLOPs of training (3 times the forward pass){hours}",
        ]

    def count_training(self, settings: Reproduction) -> float:
        """FLOPs of all trainings, a backward pass counted as two forward ones."""
        # Without the data, whose folder may still have to be given.
        words = [w for w in (*self.training, *settings.training) if w.startswith("train.")]
        train = compose("train", words)["train"]
        sizes = network_costs(configured_pair(settings.scale.pairs[ROLES]))
        trained = [
            role
            for weights in self.curves[0].variants.values()
            for role, given in weights.items()
            if given is None
        ]
        total = sum(3.0 * sizes[role].flops for role in trained)
        return total * train["steps"] * train["batch_size"]

    def prepared(self, settings: Reproduction, cache: ModelCache) -> Self:
        """The figure with the weights of a training for each variant; trains what is missing.

        Trainings resume, and are kept under root.

        Raises:
            UserError: no data, or a bad training override.
        """
        cache.release()
        [curve] = self.curves
        variants: dict[str, dict[str, str | None]] = {}
        for label, weights in curve.variants.items():
            variants[label] = {
                role: weights[role] or self._train(settings, role, self._timesteps(label, role))
                for role in weights
            }
        trained = curve.model_copy(update={"variants": variants})
        return self.model_copy(update={"curves": (trained,)})

    def _timesteps(self, label: str, role: str) -> tuple[int, int]:
        return (0, NUM_TIMESTEPS) if label == ALL else interval_of(self.mix, ROLES.index(role))

    def _train(self, settings: Reproduction, role: str, span: tuple[int, int]) -> str:
        """Path of the tuned weights of a model."""
        trio = settings.scale.pairs[ROLES]
        configured = configured_pair(trio).denoisers[ROLES.index(role)].weights
        source = settings.weights.get(role) or configured
        overrides = [
            f"pair={trio}", f"train.denoiser={role}", f"train.timesteps=[{span[0]},{span[1]}]",
            f"train.init='{source}'", *self.training, *settings.training,
        ]  # fmt: skip
        digests = distributed.on_main(
            lambda: weights_digest(fetch_weights(source, None, "weights"))
        )
        digest = Identity({"training": overrides, "init": digests}).short
        folder = self.folder(settings) / f"{role}-{digest}"
        log.info("%s: %s on timesteps %d to %d", self.name, role, *span)
        run_training(compose("train", [*overrides, override("train.dir", str(folder))]))
        return str(folder / "ema.safetensors")


def interval_of(mix: Sequence[float], place: int) -> tuple[int, int]:
    """Timesteps first..end-1 that a model runs: progress in (c_{k-1}, c_k], Sec. 3.2.

    Args:
        mix: shares of all models, small to large.
        place: the model's.
    """
    noisy, clean = sum(mix[:place]), sum(mix[: place + 1])
    edges = [round(NUM_TIMESTEPS * (1 - edge)) for edge in (clean, noisy)]
    return edges[0], edges[1]
