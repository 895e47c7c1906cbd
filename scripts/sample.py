"""Samples images with stitched denoisers: torchrun scripts/sample.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("sample", "tstitch.run.generate:run_sampling")
