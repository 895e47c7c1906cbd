"""A pipeline of diffusers on this rank's device, with its smaller networks stitched in."""

import inspect
import warnings
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from models.folders import is_local, local_folder
from tstitch.engine.settings import Engine
from tstitch.pipeline_runs.plan import Plan
from tstitch.pipelines.hook import StitchHook, hook_of
from tstitch.pipelines.stitching import stitch
from tstitch.runtime.device import set_matmul_precision
from tstitch.runtime.errors import UserError


class LoadedPipeline:
    """Everything with weights: loaded once, used under any number of schedules.

    Args:
        plan: of the pair.
        engine: device, precision and how the networks run.

    Attributes:
        pipe: the pipeline of the largest network.
        hook: that hands its steps over.

    Raises:
        UserError: parts that cannot be loaded or do not fit.
    """

    def __init__(self, plan: Plan, engine: Engine) -> None:
        assert plan.blanks  # refuses before weights are read
        self.plan, self.engine = plan, engine
        set_matmul_precision(engine.precision)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            pipe = self._pipeline()
            smaller = [self._small(name) for name in list(plan.networks)[:-1]]
        for name, network in zip(plan.networks, smaller, strict=False):
            self._load_lora(name, network)
        self._load_lora(plan.large, getattr(pipe, plan.component))
        pipe.set_progress_bar_config(disable=True)
        if not engine.offload:
            pipe.to(engine.device)
        self.pipe = stitch(pipe, smaller, schedule=[len(smaller)] * len(plan.grid.times))
        hook = hook_of(self.network)
        assert hook is not None
        self.hook: StitchHook = hook
        if engine.offload:
            pipe.enable_model_cpu_offload(device=engine.device)
        if engine.compile:
            self.network.compile()

    @property
    def network(self) -> Any:
        """The largest one."""
        return getattr(self.pipe, self.plan.component)

    def _pipeline(self) -> Any:
        plan, section = self.plan, self.plan.section
        kind = getattr(diffusers, section.pipeline)
        field = f"pair.networks.{plan.large}.source={plan.source}"
        given: dict[str, Any] = {
            name: self._component(place, f"pair.components.{name}", plan.index.get(name))
            for name, place in section.components.items()
        }
        own = plan.networks[plan.large].network
        if own is not None:
            given[plan.component] = self._component(own, f"pair.networks.{plan.large}.network")
        if section.control is not None:
            place = section.control.network
            given["controlnet"] = self._component(
                place, "pair.control.network", ["diffusers", "ControlNetModel"]
            )
        if "safety_checker" in inspect.signature(kind).parameters:
            given |= {"safety_checker": None, "requires_safety_checker": False}
        pipe = _loaded(kind, plan.source, field, self.engine.dtype, given)
        pipe.scheduler = plan.sampler.build(dict(pipe.scheduler.config), "sampler")
        return pipe

    def _small(self, name: str) -> nn.Module:
        return self._component(self.plan.place(name), f"pair.networks.{name}")

    def _component(self, place: str, field: str, entry: Any = None) -> Any:
        """A network of its own folder; its class is its config.json's, or an index's."""
        name = type(self.plan.blanks[self.plan.large]).__name__ if entry is None else entry[1]
        return _loaded(getattr(diffusers, name), place, f"{field}={place}", self.engine.dtype, {})

    def _load_lora(self, name: str, network: Any) -> None:
        place = self.plan.networks[name].lora
        if place is None:
            return
        kind = getattr(diffusers, self.plan.section.pipeline)
        try:
            state, *_ = kind.lora_state_dict(place, unet_config=network.config)
            network.load_lora_adapter(state, prefix=self.plan.component)
            network.fuse_lora()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"pair.networks.{name}.lora={place}: cannot be loaded ({reason}); give a LoRA of "
                "this network"
            ) from error


def _loaded(kind: Any, place: str, field: str, dtype: torch.dtype, given: dict[str, Any]) -> Any:
    """`from_pretrained` of a folder, or of a hub name with the folder in it."""
    source, options = _split(place, kind)
    try:
        return kind.from_pretrained(source, torch_dtype=dtype, **options, **given)
    except Exception as error:  # damaged files raise nearly anything in diffusers
        reason = " ".join(str(error).split())
        raise UserError(f"{field}: cannot be loaded ({reason})") from error


def _split(place: str, kind: Any) -> tuple[str | Path, dict[str, Any]]:
    if is_local(place):
        return local_folder(place), {}
    owner, _, rest = place.partition("/")
    repository, _, inside = rest.partition("/")
    options = {"subfolder": inside} if inside else {}
    return f"{owner}/{repository}", options
