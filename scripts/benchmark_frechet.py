"""Times the Frechet distance against scipy's: python scripts/benchmark_frechet.py"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.benchmark.frechet import run_frechet_benchmark

    run_frechet_benchmark(config)


if __name__ == "__main__":
    command("benchmark_frechet", run)
