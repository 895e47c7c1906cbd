"""Reproduces a figure or table of the paper: torchrun scripts/reproduce.py paper=fig1"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("reproduce", "tstitch.paper.run:run_reproduction")
