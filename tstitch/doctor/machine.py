"""What this machine computes on, as lines; imports torch."""

import os
import platform
from collections.abc import Iterator

import torch

from evaluation.cost.machine import device_name, has_bfloat16
from tstitch.engine.compiled import what_is_missing

GIB = 2**30


def devices() -> Iterator[str]:
    """A line per device that runs can take."""
    cpu = torch.device("cpu")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    units = {True: "with bfloat16 units", False: "without bfloat16 units", None: ""}
    yield f"cpu: {device_name(cpu)}, {cores} cores, {units[has_bfloat16()]}".rstrip(", ")
    for number in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(number)
        yield (
            f"cuda:{number}: {found.name}, {found.total_memory / GIB:.0f} GiB, compute capability "
            f"{found.major}.{found.minor}, CUDA {torch.version.cuda}"
        )
    if torch.backends.mps.is_available():
        yield f"mps: {platform.processor() or 'Apple GPU'}"


def compiling() -> Iterator[str]:
    """For each kind of device, whether torch.compile has what it needs."""
    kinds = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for kind in kinds:
        missing = what_is_missing(torch.device(kind))
        yield f"engine.compile=true on {kind}: " + (f"needs {missing}" if missing else "works")
