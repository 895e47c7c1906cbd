"""Measures how fast a pair samples: python scripts/benchmark.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("benchmark", "tstitch.benchmark.run:run_benchmark")
