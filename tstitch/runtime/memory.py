"""How much memory a process has taken at most."""

import resource
from pathlib import Path

import torch


def peak_bytes(device: torch.device) -> int:
    """Reserved on the device on CUDA, since its last reset; else resident in the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    status = Path("/proc/self/status")
    if status.is_file():  # the other figure begins with that of the process that started this
        peak = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(peak.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
