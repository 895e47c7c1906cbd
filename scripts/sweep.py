"""Samples and evaluates a list of schedules: torchrun scripts/sweep.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("sweep", "tstitch.sweep.run:run_sweep")
