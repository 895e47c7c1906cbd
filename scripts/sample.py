"""Samples images with stitched denoisers: torchrun scripts/sample.py"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.run.generate import run_sampling

    run_sampling(config)


if __name__ == "__main__":
    command("sample", run)
