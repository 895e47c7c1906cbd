"""Measures images against a reference: scripts/evaluate.py samples=PATH reference=PATH"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("evaluate", "tstitch.scoring.run:run_evaluation")
