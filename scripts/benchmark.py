"""Measures how fast a pair samples: python scripts/benchmark.py"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.benchmark.run import run_benchmark

    run_benchmark(config)


if __name__ == "__main__":
    command("benchmark", run)
