"""A pipeline of diffusers on this rank's device, with its smaller networks stitched in."""

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_log
from transformers.utils import logging as transformers_log

from models.folders import is_local, local_folder
from tstitch.engine.settings import Engine
from tstitch.pipeline_runs.plan import Plan
from tstitch.pipeline_runs.sources import component_config
from tstitch.pipelines.hook import StitchHook, hook_of
from tstitch.pipelines.stitching import stitch
from tstitch.runtime.device import set_matmul_precision
from tstitch.runtime.errors import UserError

OF_THIS = "give a LoRA of this network"


class LoadedPipeline:
    """Everything with weights: loaded once, used under any number of schedules and schedulers.

    Args:
        plan: of the pair, checked.
        engine: device, precision and how the networks run.

    Attributes:
        pipe: the pipeline of the largest network.
        hook: that hands its steps over.
        accelerator: of the networks, or None.
        scheduler: configuration of the pipeline's own scheduler, as the pipeline corrects it.

    Raises:
        UserError: parts that cannot be loaded or do not fit.
    """

    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.plan, self.engine = plan, engine
        set_matmul_precision(engine.precision)
        with _quiet():
            pipe = self._pipeline()
            smaller = [self._small(name) for name in list(plan.networks)[:-1]]
            self._load_lora(pipe)
        self.scheduler = dict(pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
        if not engine.offload:
            pipe.to(engine.device)
        self.accelerator = plan.accelerator()
        if self.accelerator is not None:
            self.accelerator.apply(pipe, [*smaller, getattr(pipe, plan.component)])
        self.pipe = stitch(pipe, smaller, schedule=[len(smaller)] * len(plan.grid.times))
        hook = hook_of(self.network)
        assert hook is not None
        self.hook: StitchHook = hook
        if engine.offload:
            _offload(pipe, engine.device)
        if engine.compile:
            self.network.compile()

    @property
    def network(self) -> Any:
        """The largest one."""
        return getattr(self.pipe, self.plan.component)

    def _pipeline(self) -> Any:
        plan, section = self.plan, self.plan.section
        kind = getattr(diffusers, section.pipeline)
        given: dict[str, Any] = {
            name: place and self._component(name, place, f"pair.components.{name}")
            for name, place in section.components.items()
        }
        own = plan.networks[plan.large].network
        if own is not None:
            field = f"pair.networks.{plan.large}.network"
            given[plan.component] = self._component(plan.component, own, field)
        if section.control is not None:
            place = section.control.network
            given["controlnet"] = self._component("controlnet", place, "pair.control.network")
        if "safety_checker" in inspect.signature(kind).parameters:
            given |= {"safety_checker": None, "requires_safety_checker": False}
        dtypes = dict.fromkeys(section.float32, torch.float32) | {"default": self.engine.dtype}
        with _loading(f"pair.networks.{plan.large}.source={plan.source}"):
            return _from_pretrained(kind, plan.source, dtypes, given)

    def _small(self, name: str) -> Any:
        """A smaller network, its LoRA fused."""
        plan, field = self.plan, f"pair.networks.{name}"
        network = self._component(plan.component, plan.place(name), field)
        file = plan.lora(name)
        if file is not None:
            kind = getattr(diffusers, plan.section.pipeline)
            with _loading(f"{field}.lora={plan.networks[name].lora}", OF_THIS):
                _fuse(network, kind, plan.component, file)
        return network

    def _load_lora(self, pipe: Any) -> None:
        """Of the largest network, with what it has for text encoders."""
        file = self.plan.lora(self.plan.large)
        if file is None:
            return
        place = self.plan.networks[self.plan.large].lora
        field = f"pair.networks.{self.plan.large}.lora={place}"
        with _loading(field, OF_THIS):
            pipe.load_lora_weights(file.parent, weight_name=file.name)
            pipe.fuse_lora()

    def _component(self, name: str, place: str, field: str) -> Any:
        """A part from a folder of its own, whose config.json names its class."""
        config, entry = component_config(place, field), self.plan.index.get(name)
        library, kind = ("diffusers", config.get("_class_name"))
        if kind is None and isinstance(entry, list):  # of transformers: as in the pipeline
            library, kind = entry
        with _loading(f"{field}={place}"):
            dtype = torch.float32 if name in self.plan.section.float32 else self.engine.dtype
            return _from_pretrained(getattr(import_module(library), str(kind)), place, dtype, {})


def _fuse(network: Any, kind: Any, component: str, file: Path) -> None:
    """Adds a LoRA to the weights of a network that is in no pipeline.

    Args:
        kind: of pipeline, which knows the formats of its files.
        component: what the network is called in it.
    """
    options = {"unet_config": network.config} if component == "unet" else {}
    found = kind.lora_state_dict(file.parent, weight_name=file.name, **options)
    state, alphas = (*found[:2],) if isinstance(found, tuple) else (found, None)
    others = {key.split(".")[0] for key in state} - {component}
    if others:
        raise ValueError(f"it has tensors of {min(others)}, and its network alone is used")
    network.load_lora_adapter(state, prefix=component, network_alphas=alphas)
    network.fuse_lora()


def _offload(pipe: Any, device: torch.device) -> None:
    try:
        pipe.enable_model_cpu_offload(device=device)
    except ImportError as error:
        raise UserError(
            "engine.offload=true: needs accelerate; pip install accelerate, or choose false"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Loads without the libraries' progress bars, one for each part and rank."""
    shown = [lib for lib in (diffusers_log, transformers_log) if lib.is_progress_bar_enabled()]
    for library in shown:
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        for library in shown:
            library.enable_progress_bar()


@contextmanager
def _loading(field: str, remedy: str = "") -> Iterator[None]:
    """One line for whatever loading raises: damaged files raise nearly anything in diffusers."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        line = f"{field}: cannot be loaded ({reason})"
        raise UserError(f"{line}; {remedy}" if remedy else line) from error


def _from_pretrained(kind: Any, place: str, dtype: Any, given: dict[str, Any]) -> Any:
    """Of a folder, or of a hub name with the folder in it."""
    load: Callable[..., Any] = kind.from_pretrained
    if is_local(place):
        return load(local_folder(place), torch_dtype=dtype, **given)
    owner, _, rest = place.partition("/")
    repository, _, inside = rest.partition("/")
    options = {"subfolder": inside} if inside else {}
    return load(f"{owner}/{repository}", torch_dtype=dtype, **options, **given)
