"""What is known of a pair of pipelines before its weights are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from torch import nn

from evaluation.cost.flops import NetworkCost
from models.folders import SCHEDULER, find_file
from samplers.stitch import StitchSchedule
from tstitch.pipeline_runs.arithmetic import count_cost, latent_shape
from tstitch.pipeline_runs.scheduler import PipelineScheduler, planned_grid
from tstitch.pipeline_runs.section import NetworkSection, PipelineSection
from tstitch.pipeline_runs.sources import (
    blank_network,
    component_config,
    component_name,
    parts_digest,
    read_index,
    scheduler_config,
    weights_digest,
)
from tstitch.pipelines.compatibility.adapters import check_control
from tstitch.pipelines.compatibility.check import check_fit
from tstitch.pipelines.compatibility.noise import check_noise
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
        """The networks on the meta device, checked against each other.

        Raises:
            UserError: they cannot hand a step over.
        """
        found = {n: blank_network(self.place(n), self._field(n)) for n in self.networks}
        large = found[self.large]
        for name, network in list(found.items())[:-1]:
            with errors_of(f"pair.networks.{name}: ", UserError):
                if self.networks[name].lora is None:  # it may make up for what differs
                    check_fit(SimpleNamespace(), large, network, None)
                if self.section.control is not None:
                    check_control(large, network)
                check_noise(self.scheduler, self._scheduler_beside(name))
        return found

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
        section = self.section
        place = section.components.get("vae", f"{self.source}/vae")
        vae = component_config(place, "pair.components.vae" if "vae" in section.components
                               else self._field(self.large))  # fmt: skip
        size = (section.frames, section.height, section.width)
        return latent_shape(self.blanks[self.large], vae, size)

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

    def weights_digest(self, name: str) -> str:
        """SHA-256 of a network's files, downloaded if need be."""
        return weights_digest(self.place(name), self._field(name))

    def parts_digests(self) -> dict[str, str]:
        """SHA-256 of everything else in the pipeline, and of what stands in for parts of it."""
        section, field = self.section, self._field(self.large)
        replaced = {self.component, "scheduler", "safety_checker", "feature_extractor"}
        own = parts_digest(self.source, self.index, replaced | section.components.keys(), field)
        others = {
            name: weights_digest(place, f"pair.components.{name}")
            for name, place in section.components.items()
        }
        if section.control is not None:
            others["control"] = weights_digest(section.control.network, "pair.control.network")
        return {"pipeline": own, **others}

    def _cost(self, name: str) -> NetworkCost:
        field = f"pair.networks.{name}"
        try:
            return count_cost(self.blanks[name], self.latent_shape, self.networks[name].flops)
        except ValueError as error:
            raise UserError(f"{field}: {error}; give {field}.flops of an evaluation") from error

    def _scheduler_beside(self, name: str) -> Any:
        """The scheduler that a smaller network was saved with; None if there is none."""
        source = self.networks[name].source
        with errors_of(f"{self._field(name)}="):
            if find_file(f"{source}/scheduler", SCHEDULER) is None:
                return None
        return PipelineScheduler().build(scheduler_config(source, self._field(name)), "sampler")

    def _field(self, name: str) -> str:
        own = self.networks[name]
        return f"pair.networks.{name}.{'network' if own.network else 'source'}"
