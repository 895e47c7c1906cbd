"""Samples and evaluates a list of schedules: torchrun scripts/sweep.py"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.sweep.run import run_sweep

    run_sweep(config)


if __name__ == "__main__":
    command("sweep", run)
