"""Draws predictions of x_0 along the steps: python scripts/trajectory.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("trajectory", "tstitch.trajectory.run:run_trajectory")
