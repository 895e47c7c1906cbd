"""The hook in the large network of a pipeline that hands steps over to smaller ones."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

from samplers.stitch import StitchSchedule
from tstitch.pipelines.clock import Clock
from tstitch.pipelines.components import TIMESTEPS
from tstitch.pipelines.grid import assign
from tstitch.pipelines.guidance import SmallGuidance
from tstitch.pipelines.inputs import fit_inputs
from tstitch.pipelines.offload import follow
from tstitch.pipelines.realised import Realised, summarise
from tstitch.runtime.errors import UserError

HOOK = "tstitch"
Around = Callable[[int, Sequence[Any], Mapping[str, Any]], AbstractContextManager[Any]]


class StitchHook(ModelHook):
    """Diverts the calls of the large network: `new_forward` is all there is to stitching.

    The large network stays a component of the pipeline, so that adapters, saving and offloading
    find it; the smaller ones are kept here, no part of its parameters.

    Args:
        smaller: networks that take over, small to large.
        clock: of the pipeline.
        schedule: resolved anew at the beginning of every run.
        guidance: of the small network.

    Attributes:
        around: network, arguments and keywords of a call -> what it runs in: for clocks.
    """

    def __init__(
        self,
        smaller: Sequence[nn.Module],
        clock: Clock,
        schedule: StitchSchedule,
        guidance: SmallGuidance | None,
    ) -> None:
        super().__init__()
        self.smaller = tuple(smaller)
        self.clock = clock
        self.schedule = schedule
        self._guidance = guidance
        self.around: Around = _alone
        self._models: tuple[int, ...] = ()
        self._evaluations: list[tuple[int, int]] = []

    @property
    def num_networks(self) -> int:
        """Smaller ones and the large one."""
        return len(self.smaller) + 1

    @property
    def realised(self) -> Realised | None:
        """Of the last run, or the one in progress; None before the first."""
        if self.clock.grid is None:
            return None
        return summarise(self._evaluations, self.clock.grid.times, self.num_networks)

    @property
    def step(self) -> int:
        """Step of the last evaluation."""
        return self._evaluations[-1][0]

    @property
    def turn(self) -> int:
        """Turn of the pipeline's loop that the last evaluation was in, from 0."""
        return self.clock.turn

    def initialize_hook(self, module: nn.Module) -> nn.Module:
        """Finds the timestep among the arguments of the network."""
        names = list(inspect.signature(type(module).forward).parameters)
        found = [name for name in TIMESTEPS if name in names]
        if not found:
            raise UserError(
                f"pipe: a {type(module).__name__} is called without timestep and has no steps to "
                "stitch"
            )
        self._timestep, self._place = found[0], names.index(found[0]) - 1
        return module

    # Compiled, the choice stays outside, and each network is a graph of its own.
    @torch.compiler.disable(recursive=False)
    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """In place of the large network's forward."""
        model = self._choose(module, args, kwargs)
        if self._guidance is not None:
            self._guidance.apply(self.clock.pipe, model)
        with self.around(model, args, kwargs):
            return self.run_network(model, module, args, kwargs)

    def run_network(
        self, model: int, module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """What a network says to a call of the large one, whatever the schedule."""
        if model == len(self.smaller):
            return self.fn_ref.original_forward(*args, **kwargs)
        small = self.smaller[model]
        follow(module, small)
        return small(*args, **fit_inputs(small, module, kwargs))

    @torch.compiler.disable
    def _choose(self, module: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> int:
        given = kwargs[self._timestep] if self._timestep in kwargs else args[self._place]
        step = self.clock.read(given)
        if self.clock.is_new:
            check_outermost(module)
            assert self.clock.grid is not None
            self._evaluations = []
            self._models = assign(
                self.clock.grid, self.schedule, self.clock.scheduler, self.num_networks
            )
        model = self._models[step]
        self._evaluations.append((step, model))
        return model

    def end_run(self, module: nn.Module) -> None:
        """Pipelines come here at the end of every run.

        Raises:
            UserError: the run never asked this network.
        """
        pipe = self.clock.pipe
        if self._guidance is not None and pipe is not None:
            self._guidance.restore(pipe)
        missed = self.clock.missed and not getattr(pipe, "_interrupt", False)
        self.clock.forget()
        if missed:
            raise UserError(
                f"pipe: this run never reached the stitch, the large network ran alone; something "
                f"replaced {type(module).__name__}.forward after stitch() (DeepCache, cache-dit, "
                "another network): call stitch() last"
            )


def _alone(
    model: int, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> AbstractContextManager[None]:
    return nullcontext()


def hook_of(network: nn.Module) -> StitchHook | None:
    """The hook that a network has, if any."""
    registry = getattr(network, "_diffusers_hook", None)
    return None if registry is None else registry.get_hook(HOOK)


def attach(network: nn.Module, hook: StitchHook) -> None:
    """Puts the hook around all that a network has."""
    HookRegistry.check_if_exists_or_initialize(network).register_hook(hook, HOOK)


def detach(network: Any) -> StitchHook:
    """Takes it off, and returns it."""
    hook = hook_of(network)
    assert hook is not None
    network._diffusers_hook.remove_hook(HOOK, recurse=False)
    return hook


def check_outermost(network: Any) -> None:
    """Refuses hooks around ours: they would see the steps of all networks as one's.

    Raises:
        UserError: there is one.
    """
    order = network._diffusers_hook._hook_order
    if order[-1] != HOOK:
        raise UserError(
            f"pipe: hook {order[-1]} was put around the stitch and would mix up the networks; use "
            "the network's own enable_cache or enable_group_offload, or call stitch() last"
        )
