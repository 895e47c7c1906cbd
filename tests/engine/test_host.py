"""Freed memory of a process, and ranks that must compute alike."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import resource
import torch
from tstitch.engine.host import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(40_000_000 // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.ones(10)
before, accepted = faults(), keep_freed_memory()
faults()  # the heap grows to its size in the first few uses
print(before, accepted, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_used_again():
    """Catches: a parameter that glibc refuses: every layer's memory is then mapped anew, page by
    page."""
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    before, accepted, after = run.stdout.split()
    assert accepted == "True", run.stderr
    assert int(after) < int(before) / 5


@pytest.mark.slow
def test_ranks_that_would_compute_otherwise_are_refused(run_script):
    """Catches: a run whose images depend on the rank, one rank that waits for another."""
    done = run_script(Path(__file__).with_name("unlike_ranks.py"), processes=2)
    line = "engine: dtype is fp32 on rank 0 and bf16 on rank 1; set run.device, run.dtype and "
    assert done.returncode == 0 and done.stdout.count(line) == 2, done.stderr
