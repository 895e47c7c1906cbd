"""Samples images with stitched denoisers: torchrun scripts/sample.py"""

from tstitch.cli import command
from tstitch.generate import run_sampling

if __name__ == "__main__":
    command("sample", run_sampling)
