"""Reproduces a figure or table of the paper: torchrun scripts/reproduce.py paper=fig1"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.paper.run import run_reproduction

    run_reproduction(config)


if __name__ == "__main__":
    command("reproduce", run)
