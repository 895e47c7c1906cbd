"""Trains one denoiser of a pair: torchrun scripts/train.py train.denoiser=small"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("train", "tstitch.training.run:run_training")
