"""The machine and the versions behind a number."""

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("tstitch", "torch", "timm", "diffusers", "numpy", "scipy", "torch-fidelity")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86, x86, Arm


def versions() -> dict[str, str]:
    """Version of Python and of the packages that decide the numbers; never fails."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    """Of a package that is used without being installed, what it says of itself."""
    try:
        return version(name)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(name), "__version__", "not installed"))


@cache
def device_name(device: torch.device) -> str:
    """Marketing name of the device, e.g. `NVIDIA H100` or the CPU's model name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def has_bfloat16() -> bool | None:
    """Whether the processor multiplies bfloat16 matrices in hardware; None = not known."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return None if flags is None else not BFLOAT16_FLAGS.isdisjoint(flags.split())


def _cpuinfo(field: str) -> str | None:
    """A field of Linux' description of the first core."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return None
