"""The checked `engine` section, and what it comes to on a device."""

import logging
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch

from tstitch.config import fields
from tstitch.config.settings import RunSettings
from tstitch.engine.compiled import check_compiler, what_is_missing
from tstitch.engine.worth import preparations
from tstitch.runtime.device import choose_device, choose_dtype
from tstitch.runtime.errors import UserError

TENSOR_CORES = (8, 0)  # least compute capability for which `auto` leaves float32
FLAG_OR_AUTO = fields.or_auto(fields.Rule(fields.is_a(bool), "choose true, false or auto"))
AutoFlag = Annotated[bool | None, FLAG_OR_AUTO]
log = logging.getLogger(__name__)


class EngineSettings(fields.Settings):
    """How denoisers are computed, described in configs/engine/auto.yaml; None = auto."""

    path = "engine"
    computed = ("sixteen_bits", "half")

    compile: AutoFlag
    cuda_graphs: AutoFlag
    offload: fields.Flag
    threads: Annotated[int | None, fields.or_auto(fields.whole(1))]
    keep_memory: AutoFlag
    sixteen_bits: bool = False  # whether every denoiser of the pair names what stays in float32
    half: str = "fp16"  # what `auto` comes to then, on tensor cores


@dataclass(frozen=True, slots=True)
class Engine:
    """The same with every `auto` decided for this rank's device."""

    device: torch.device
    precision: str  # fp32 | tf32 | bf16 | fp16
    compile: bool
    cuda_graphs: bool
    offload: bool
    threads: int | None  # None = as many as there are for this process
    keep_memory: bool

    @property
    def dtype(self) -> torch.dtype:
        """Of the denoisers' weights."""
        return choose_dtype(self.precision, self.device, "run.dtype")

    @property
    def static_shapes(self) -> bool:
        """Whether a batch that is not full is padded: kernels are made for one shape."""
        return self.compile or self.cuda_graphs

    def identity(self) -> dict[str, Any]:
        """What of it, beside the precision, decides the images bit for bit."""
        return {
            "device": self.device.type,
            "compile": self.compile,
            "static_shapes": self.static_shapes,
        }

    def describe(self) -> dict[str, Any]:
        """Every decision but device and precision, for reports."""
        hidden = ("device", "precision", "threads")
        return {name: value for name, value in asdict(self).items() if name not in hidden}


def choose_engines(
    settings: EngineSettings, run: RunSettings, evaluations: int | None = None
) -> list[Engine]:
    """Decides every `auto`, by the device and by how much there is to sample.

    Args:
        evaluations: of a batch by the busiest process, None = many.

    Returns:
        The run's engine, then what it would be for a run of another length.

    Raises:
        UserError: a device, precision or option that is not to be had here.
    """
    device = choose_device(run.device, "run.device")
    precision = run.dtype
    if precision == "auto":
        capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
        precision = auto_precision(capability, settings.half if settings.sixteen_bits else None)
    choose_dtype(precision, device, "run.dtype")
    _refuse_misfits(settings, device)
    missing = what_is_missing(device) if device.type == "cuda" else None
    prepare = preparations(device.type, evaluations)
    if missing and settings.compile is None and prepare[0]:
        log.warning("engine.compile=auto: not compiled; that needs %s", missing)
    engines = [decide(settings, device, precision, choice, not missing) for choice in prepare]
    if engines[0].compile:
        check_compiler(device)
    return list(dict.fromkeys(engines))


def decide(
    settings: EngineSettings,
    device: torch.device,
    precision: str,
    prepare: bool,
    can_compile: bool = True,
) -> Engine:
    """The engine, by values alone: nothing is asked of the device.

    Args:
        prepare: whether the run is worth compiling and recording (tstitch.engine.worth).
        can_compile: whether torch.compile has what it needs.
    """
    compile = _decided(settings.compile, prepare and can_compile)
    # What is compiled is for one shape anyhow: recording it is cheap.
    record = device.type == "cuda" and not settings.offload and (prepare or compile)
    return Engine(
        device=device,
        precision=precision,
        compile=compile,
        cuda_graphs=_decided(settings.cuda_graphs, record),
        offload=settings.offload,
        threads=settings.threads,
        keep_memory=_decided(settings.keep_memory, device.type == "cpu"),
    )


def auto_precision(capability: tuple[int, int] | None, half: str | None) -> str:
    """What run.dtype=auto comes to: docs/performance.md says why.

    Args:
        capability: compute capability of a CUDA device, None for other devices.
        half: a 16-bit precision that the denoisers can do, if they can.
    """
    if capability is None or capability < TENSOR_CORES:
        return "fp32"
    return half or "tf32"


def _refuse_misfits(settings: EngineSettings, device: torch.device) -> None:
    """Options asked for that are not for this device, or exclude each other."""
    if settings.cuda_graphs and device.type != "cuda":
        raise UserError(
            f"engine.cuda_graphs=true: needs a CUDA device, not {device.type}; choose "
            "engine.cuda_graphs=auto"
        )
    if settings.cuda_graphs and settings.offload:
        raise UserError(
            "engine.cuda_graphs=true: recorded weights must stay where they are; choose "
            "engine.offload=false or engine.cuda_graphs=auto"
        )
    if settings.offload and device.type == "cpu":
        raise UserError(
            "engine.offload=true: on the CPU all weights are in host memory already; choose "
            "engine.offload=false"
        )
    if settings.keep_memory and device.type != "cpu":
        raise UserError(
            f"engine.keep_memory=true: is for the CPU, not {device.type}; choose "
            "engine.keep_memory=auto"
        )


def _decided(value: bool | None, otherwise: bool) -> bool:
    return otherwise if value is None else value
