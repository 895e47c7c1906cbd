"""What a process that computes on the CPU sets up once: its threads and its allocator."""

import ctypes
import logging
import os
import sys

import torch

from evaluation.machine import has_bfloat16
from tstitch import distributed
from tstitch.engine.settings import Engine

# Parameters of glibc's mallopt and the largest value that its int takes.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
LARGEST, OLD_LARGEST = 2**31 - 1, 2**25
TOP_PAD_BYTES = 64 * 2**20
log = logging.getLogger(__name__)


def prepare_host(engine: Engine) -> None:
    """Sets the number of threads, and on the CPU what happens to freed memory."""
    torch.set_num_threads(choose_threads(engine.threads))
    if engine.keep_memory:
        keep_freed_memory()
    if engine.device.type == "cpu" and engine.precision == "bf16" and has_bfloat16() is False:
        log.warning("run.dtype=bf16: this processor has no bfloat16 units; fp32 is far faster here")


def choose_threads(threads: int | None) -> int:
    """Threads of this process: `threads`, else what OMP_NUM_THREADS says, else its share.

    torchrun sets OMP_NUM_THREADS=1 for several processes, however many cores there are; then
    the cores are divided among the processes of this machine.
    """
    if threads is not None:
        return threads
    local = distributed.local_world_size()
    if local == 1 or os.environ.get("OMP_NUM_THREADS", "1") != "1":
        return torch.get_num_threads()
    return max(1, available_cores() // local)


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Makes glibc reuse freed memory instead of returning it to the kernel after every layer.

    Large tensors are otherwise mapped, filled with zeros page by page, and unmapped at every
    use. The process then holds its peak until it ends.

    Returns:
        False where the C library has no such setting; nothing changes there.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Before 2.35 it refuses more than 32 MiB, and without the first the others do harm.
    if not any(mallopt(MMAP_THRESHOLD, value) for value in (LARGEST, OLD_LARGEST)):
        return False
    return bool(mallopt(TRIM_THRESHOLD, LARGEST) and mallopt(TOP_PAD, TOP_PAD_BYTES))
