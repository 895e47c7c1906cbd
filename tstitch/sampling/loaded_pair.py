"""A pair's networks and space on this rank's device, as the engine runs them."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.condition import with_own_table
from models.guidance import GuidedDenoiser
from models.precision import lower_products
from samplers.propagation import Group
from tstitch.config.settings import GuidanceSettings
from tstitch.engine.compiled import compiled
from tstitch.engine.graphs import GraphRecorder
from tstitch.engine.offload import TakingTurns
from tstitch.engine.settings import Engine
from tstitch.pair.spec import PairSpec, load_network, load_space
from tstitch.runtime.device import set_matmul_precision
from tstitch.runtime.errors import UserError, errors_of

Launched = Callable[..., tuple[Tensor, Tensor | None]]
"""(x, t, y) or (x, t, y, null): a guided network; null is what images bring for that condition."""


class LoadedPair:
    """Everything with weights: loaded once, used by any number of samplers and schedules.

    Args:
        pair: the checked `pair` section.
        engine: device, precision and how the networks run.
        weights: local file of each denoiser's weights by name, None = random weights.

    Raises:
        UserError: weights that do not fit.
    """

    def __init__(self, pair: PairSpec, engine: Engine, weights: Mapping[str, Path | None]):
        self.engine = engine
        self._bound, self._rebound = _bound(pair), dict[str, LoadedPair]()
        set_matmul_precision(engine.precision)
        stay = torch.device("cpu") if engine.offload else engine.device
        networks: dict[str, nn.Module] = {
            spec.name: lower_products(
                load_network(pair, spec, weights[spec.name]).to(stay), engine.dtype
            )
            for spec in pair.denoisers
        }
        with errors_of("pair.text_encoder."):
            pair.condition.bind(networks.values(), engine.device)
        self._turns = TakingTurns(networks, engine.device) if engine.offload else None
        self.networks = networks
        self._null_draws = {n: getattr(network, "null_draw", ()) for n, network in networks.items()}
        if engine.compile:
            self.networks = {n: compiled(network, engine.device) for n, network in networks.items()}
        self.space = load_space(pair, engine.device)
        self._null_class = pair.num_classes
        self._recorder = GraphRecorder(engine.device) if engine.cuda_graphs else None
        self._denoisers: dict[tuple[str, float, int, int], Launched] = {}

    def with_conditions(self, pair: PairSpec) -> "LoadedPair":
        """The same networks under the prompts of a pair; itself where it has them.

        The last other prompts are kept encoded.

        Args:
            pair: this one, but for its prompts.

        Raises:
            UserError: other prompts for networks that are compiled, recorded or take turns.
        """
        wanted = _bound(pair)
        if wanted == self._bound:
            return self
        if wanted not in self._rebound:
            if self._turns is not None or self.engine.static_shapes:
                raise UserError("pair.prompts: others need another loading, or engine=plain")
            other = copy.copy(self)
            other.networks = {n: with_own_table(network) for n, network in self.networks.items()}
            with errors_of("pair.text_encoder."):
                pair.condition.bind(other.networks.values(), self.engine.device)
            other._bound, other._null_class, other._denoisers = wanted, pair.num_classes, {}
            self._rebound.clear()
            self._rebound[wanted] = other
        return self._rebound[wanted]

    def null_draw(self, name: str, guidance: GuidanceSettings) -> tuple[int, ...]:
        """Shape of what an image brings along for a network's null condition; empty = nothing."""
        if guidance.scale_of(name) == 1:
            return ()
        return self._null_draws[name]

    def denoiser(self, name: str, guidance: GuidanceSettings, batch_size: int) -> Launched:
        """A guided network as the engine launches it; what was recorded once is kept.

        Args:
            batch_size: images per call, where shapes are static.
        """
        key = (name, guidance.scale_of(name), guidance.channels, batch_size)
        if key not in self._denoisers:
            self._denoisers[key] = self._launched(name, self._guided(name, guidance))
        return self._denoisers[key]

    def group(self, name: str, guidance: GuidanceSettings) -> Group:
        """A guided network at several timesteps from one encoding; for networks that split."""
        predict, turns = self._guided(name, guidance).at_times, self._turns
        if turns is None:
            return predict

        def in_turn(x: Tensor, times: Sequence[float], y: Tensor) -> Any:
            turns.bring(name)
            return predict(x, times, y)

        return in_turn

    def _guided(self, name: str, guidance: GuidanceSettings) -> GuidedDenoiser:
        return GuidedDenoiser(
            self.networks[name],
            scale=guidance.scale_of(name),
            channels=guidance.channels,
            null_class=self._null_class,
        )

    def _launched(self, name: str, denoiser: GuidedDenoiser) -> Launched:
        if self._recorder is not None:
            return self._recorder.recorded(denoiser)
        turns = self._turns
        if turns is None:
            return denoiser

        def in_turn(x: Tensor, t: float, *conditions: Tensor) -> tuple[Tensor, Tensor | None]:
            turns.bring(name)
            return denoiser(x, t, *conditions)

        return in_turn


def _bound(pair: PairSpec) -> str:
    """What networks know of a pair's conditions: how many they are, of prompts which."""
    with errors_of("pair.text_encoder."):
        return json.dumps([pair.num_classes, pair.condition.identity()], sort_keys=True)
