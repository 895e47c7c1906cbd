"""What happens to freed memory."""

import subprocess
import sys

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
print(faults(), keep_freed_memory(), faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_used_again():
    """Catches: a parameter that glibc refuses: every layer's memory is then mapped anew, page by
    page."""
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    before, accepted, after = run.stdout.split()
    assert accepted == "True", run.stderr
    assert int(after) < int(before) / 5
