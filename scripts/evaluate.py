"""Measures images against a reference: scripts/evaluate.py samples=PATH reference=PATH"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.scoring.run import run_evaluation

    run_evaluation(config)


if __name__ == "__main__":
    command("evaluate", run)
