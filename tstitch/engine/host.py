"""What a process that computes on the CPU sets up once: its threads and its allocator."""

import ctypes
import logging
import sys

from evaluation.cost.machine import has_bfloat16
from tstitch.engine.settings import Engine
from tstitch.runtime.threads import set_threads

# Parameters of glibc's mallopt and the largest value that its int takes.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
LARGEST, OLD_LARGEST = 2**31 - 1, 2**25
TOP_PAD_BYTES = 64 * 2**20
log = logging.getLogger(__name__)


def prepare_host(engine: Engine) -> None:
    """Sets the number of threads, and on the CPU what happens to freed memory."""
    set_threads(engine.threads)
    if engine.keep_memory:
        keep_freed_memory()
    if engine.device.type == "cpu" and engine.precision == "bf16" and has_bfloat16() is False:
        log.warning("run.dtype=bf16: this processor has no bfloat16 units; fp32 is far faster here")


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
