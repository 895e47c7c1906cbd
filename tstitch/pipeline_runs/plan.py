"""What is known of a pair of pipelines before its weights are read."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
from torch import nn

from evaluation.cost.flops import NetworkCost
from models.folders import CONFIG, SCHEDULER
from samplers.stitch import StitchSchedule
from tstitch.pipeline_runs.accelerators import Accelerator, build_accelerator
from tstitch.pipeline_runs.arithmetic import count_cost, latent_shape
from tstitch.pipeline_runs.scheduler import PipelineScheduler, planned_grid
from tstitch.pipeline_runs.section import NetworkSection, PipelineSection
from tstitch.pipeline_runs.sources import (
    blank_network,
    component_config,
    component_name,
    config_beside,
    lora_file,
    parts_digest,
    read_index,
    scheduler_config,
    weights_digest,
)
from tstitch.pipelines.compatibility.adapters import check_control
from tstitch.pipelines.compatibility.distilled import check_guidance
from tstitch.pipelines.compatibility.latents import check_latents
from tstitch.pipelines.compatibility.networks import check_networks
from tstitch.pipelines.compatibility.noise import check_noise
from tstitch.pipelines.compatibility.positions import check_positions
from tstitch.pipelines.grid import Grid, assign
from tstitch.runtime.errors import UserError, errors_of


@dataclass(frozen=True)
class Plan:
    """Networks on the meta device, scheduler and steps of a pair of pipelines.

    Args:
        section: the checked pair.
        networks: sections by name, small to large.
        sampler: with a number of steps.
    """

    section: PipelineSection
    networks: Mapping[str, NetworkSection]
    sampler: PipelineScheduler

    @property
    def large(self) -> str:
        """Name of the network whose pipeline runs."""
        return list(self.networks)[-1]

    def accelerator(self) -> Accelerator | None:
        """A new one of the section's, if it names any."""
        return build_accelerator(self.section.accelerate)

    @property
    def source(self) -> str:
        """Of the pipeline that runs."""
        return self.networks[self.large].source

    @cached_property
    def index(self) -> dict[str, Any]:
        """model_index.json of the pipeline that runs."""
        return read_index(self.source, self._field(self.large))

    @cached_property
    def component(self) -> str:
        """unet or transformer."""
        return component_name(self.index, self.source, self._field(self.large))

    @cached_property
    def blanks(self) -> dict[str, nn.Module]:
        """The networks on the meta device."""
        return {n: blank_network(self.place(n), self._field(n)) for n in self.networks}

    def check(self) -> None:
        """Refuses what `tstitch.stitch` would, before any weight is read.

        Raises:
            UserError: networks that cannot hand a step over, components that the pipeline lacks.
        """
        kind = getattr(diffusers, self.section.pipeline)
        known = inspect.signature(kind).parameters.keys() - {self.component, "scheduler"}
        for name in self.section.components:
            if name not in known:
                raise UserError(f"pair.components.{name}: choose one of {', '.join(sorted(known))}")
        assert self.grid and self.costs  # what is wrong with these is no misfit
        for name, network in list(self.blanks.items())[:-1]:
            with errors_of(f"pair.networks.{name}: ", UserError):
                self._check_fit(name, network, self.blanks[self.large])

    def _check_fit(self, name: str, network: nn.Module, large: nn.Module) -> None:
        check_networks(large, network)
        check_positions(large, network)
        if self.networks[name].lora is None:  # which may distil it, too
            check_guidance(large, network)
        if self.section.control is not None:
            check_control(large, network)
        source, field = self.networks[name].source, self._field(name)
        scheduler = config_beside(source, "scheduler", SCHEDULER, field)
        if scheduler is not None:
            check_noise(self.scheduler, PipelineScheduler().build(scheduler, field))
        vae = config_beside(source, "vae", CONFIG, field)
        if vae is not None:
            check_latents(_with_vae(self.vae), _with_vae(vae))

    @cached_property
    def vae(self) -> dict[str, Any]:
        """config.json of the autoencoder that decodes."""
        own = self.section.components.get("vae")
        if own is not None:
            return component_config(own, "pair.components.vae")
        return component_config(f"{self.source}/vae", self._field(self.large))

    @cached_property
    def scheduler(self) -> Any:
        """Of the pipeline that runs, as the sampler section has it."""
        config = scheduler_config(self.source, self._field(self.large))
        return self.sampler.build(config, "sampler")

    @cached_property
    def grid(self) -> Grid:
        """The steps."""
        steps = self.sampler.steps
        assert steps is not None
        return planned_grid(self.scheduler, steps, "sampler")

    @cached_property
    def latent_shape(self) -> tuple[int, ...]:
        """Of one image or video."""
        size = (self.section.frames, self.section.height, self.section.width)
        network, vae = self.blanks[self.large], self.vae
        with errors_of("pair."):
            return latent_shape(network, vae, size)

    @cached_property
    def costs(self) -> dict[str, NetworkCost]:
        """Of one evaluation of each network.

        Raises:
            UserError: a network whose arithmetic is not known here.
        """
        return {name: self._cost(name) for name in self.networks}

    def models(self, stitch: StitchSchedule) -> tuple[int, ...]:
        """Which network runs each step, 0 the smallest.

        Raises:
            UserError: a schedule that does not fit these steps or networks.
        """
        try:
            return assign(self.grid, stitch, self.scheduler, len(self.networks))
        except UserError as error:
            raise UserError(f"stitch.{str(error).removeprefix('schedule: ')}") from error

    def place(self, name: str) -> str:
        """Folder or hub name of a network."""
        own = self.networks[name]
        return own.network or f"{own.source}/{self.component}"

    def lora(self, name: str) -> Path | None:
        """The file of a network's LoRA, downloaded if need be; None if it has none."""
        place = self.networks[name].lora
        return None if place is None else lora_file(place, f"pair.networks.{name}.lora")

    def weights_digest(self, name: str) -> str:
        """SHA-256 of a network's files, downloaded if need be."""
        return weights_digest(self.place(name), self._field(name))

    def parts_digests(self) -> dict[str, str]:
        """SHA-256 of everything else in the pipeline, and of what stands in for parts of it."""
        section, field = self.section, self._field(self.large)
        replaced = {self.component, "scheduler", "safety_checker", "feature_extractor"}
        own = parts_digest(self.source, self.index, replaced | section.components.keys(), field)
        others = {
            name: weights_digest(place, f"pair.components.{name}") if place else "none"
            for name, place in section.components.items()
        }
        if section.control is not None:
            others["control"] = weights_digest(section.control.network, "pair.control.network")
        return {"pipeline": own, **others}

    def _cost(self, name: str) -> NetworkCost:
        field, network, shape = f"pair.networks.{name}", self.blanks[name], self.latent_shape
        try:
            return count_cost(network, shape, self.networks[name].flops)
        except ValueError as error:
            raise UserError(f"{field}: {error}; give {field}.flops of an evaluation") from error

    def _field(self, name: str) -> str:
        own = self.networks[name]
        return f"pair.networks.{name}.{'network' if own.network else 'source'}"


def _with_vae(config: Mapping[str, Any]) -> Any:
    """What check_latents asks of a pipeline."""
    kind = getattr(diffusers, str(config.get("_class_name")), None)
    known = {} if kind is None else inspect.signature(kind).parameters
    defaults = {name: one.default for name, one in known.items()}
    return SimpleNamespace(vae=SimpleNamespace(config=SimpleNamespace(**{**defaults, **config})))
