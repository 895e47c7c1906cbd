"""What many GPUs would take for many runs: python scripts/simulate.py [simulate.measure=true]"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("simulate", "tstitch.simulate.run:run_simulation")
