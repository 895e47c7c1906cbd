"""A page to try a pair on: python scripts/demo.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("demo", "tstitch.demo.run:run_demo")
