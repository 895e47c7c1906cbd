"""The machine and the versions behind a number."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("tstitch", "torch", "timm", "diffusers", "numpy", "scipy", "torch-fidelity")


def versions() -> dict[str, str]:
    """Version of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def device_name(device: torch.device) -> str:
    """Marketing name of the device, e.g. `NVIDIA H100` or the CPU's model name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
