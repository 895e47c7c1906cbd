"""Finishes a run whose images are all there: python scripts/finish.py dir=RUN"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("finish", "tstitch.run.finish:run_finish")
