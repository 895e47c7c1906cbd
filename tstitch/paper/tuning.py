"""Fine-tuning models on their own interval of timesteps, and on all (Table 6)."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from samplers import NUM_TIMESTEPS
from tstitch import distributed
from tstitch.cli import compose, override
from tstitch.fingerprint import fingerprint
from tstitch.pair import parse_pair
from tstitch.paper.curve_settings import ROLES
from tstitch.paper.figure_settings import Figure
from tstitch.paper.plan import configured_pair
from tstitch.paper.settings import Reproduction
from tstitch.sizes import network_sizes
from tstitch.training.run import open_data, run_training
from tstitch.training.settings import parse_train
from tstitch.weights import fetch_weights, weights_digest

ALL, OWN, BEFORE = "all timesteps", "own interval", "pretrained"
log = logging.getLogger(__name__)


def interval_of(mix: Sequence[float], place: int) -> tuple[int, int]:
    """Timesteps first..end-1 that a model runs: progress in (c_{k-1}, c_k], Sec. 3.2.

    Args:
        mix: shares of all models, small to large.
        place: the model's.
    """
    noisy, clean = sum(mix[:place]), sum(mix[: place + 1])
    edges = [round(NUM_TIMESTEPS * (1 - edge)) for edge in (clean, noisy)]
    return edges[0], edges[1]


def train_variants(figure: Figure, told: Reproduction) -> Figure:
    """Trains what is missing; the figure with a variant of weights for each training.

    Every rank calls it alike. Trainings resume, and are kept under root.

    Raises:
        UserError: no data, or a bad training override.
    """
    mix, curve = figure.tuning.mix, figure.curves[0]
    variants: dict[str, dict[str, str | None]] = {}
    for label, weights in curve.variants.items():
        spans = {
            role: (0, NUM_TIMESTEPS) if label == ALL else interval_of(mix, ROLES.index(role))
            for role in weights
        }
        variants[label] = {
            role: weights[role] or _train(figure, told, role, span) for role, span in spans.items()
        }
    return replace(figure, curves=(replace(curve, variants=variants), *figure.curves[1:]))


def _train(figure: Figure, told: Reproduction, role: str, span: tuple[int, int]) -> str:
    """Path of the tuned weights of a model."""
    trio = told.scale.pairs[ROLES]
    source = told.weights.get(role) or configured_pair(trio).denoisers[ROLES.index(role)].weights
    given = [*figure.tuning.training, *told.training]
    overrides = [f"pair={trio}", f"train.denoiser={role}", f"train.timesteps=[{span[0]},{span[1]}]"]
    overrides += [f"train.init='{source}'", *given]
    digests = distributed.on_main(lambda: weights_digest(fetch_weights(source, None, "weights")))
    digest = fingerprint({"training": overrides, "init": digests})[:8]
    folder = Path(told.root) / "paper" / f"{figure.name}-{told.scale.name}" / f"{role}-{digest}"
    log.info("%s: %s on timesteps %d to %d", figure.name, role, *span)
    config: dict[str, Any] = compose("train", [*overrides, override("train.dir", str(folder))])
    run_training(config)
    return str(folder / "ema.safetensors")


def check_training(figure: Figure, told: Reproduction) -> None:
    """Refuses trainings that could not begin; every rank calls it alike.

    Raises:
        UserError: no data, or a bad training override.
    """
    trio = told.scale.pairs[ROLES]
    given = [*figure.tuning.training, *told.training]
    config = compose("train", [f"pair={trio}", "train.denoiser=large", *given])
    parse_train(config["train"], list(ROLES), distributed.world_size())
    distributed.main_first(lambda: open_data(config["data"], parse_pair(config["pair"])))


def count_training(figure: Figure, told: Reproduction) -> float:
    """FLOPs of all trainings of the figure, a backward pass counted as two forward ones."""
    fields = compose("train", [*_known(figure.tuning.training), *_known(told.training)])["train"]
    sizes = network_sizes(configured_pair(told.scale.pairs[ROLES]))
    variants = figure.curves[0].variants.values()
    trained = [role for weights in variants for role, given in weights.items() if given is None]
    total = sum(3.0 * sizes[role].flops for role in trained)
    return total * fields["steps"] * fields["batch_size"]


def _known(overrides: Sequence[str]) -> list[str]:
    """Without the data, whose folder may still have to be given."""
    return [word for word in overrides if word.startswith("train.")]
