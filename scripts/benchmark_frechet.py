"""Times the Frechet distance against scipy's: python scripts/benchmark_frechet.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("benchmark_frechet", "tstitch.benchmark.frechet:run_frechet_benchmark")
