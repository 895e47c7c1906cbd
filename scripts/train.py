"""Trains one denoiser of a pair: torchrun scripts/train.py train.denoiser=small"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.training.run import run_training

    run_training(config)


if __name__ == "__main__":
    command("train", run)
