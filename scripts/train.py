"""Trains one denoiser of a pair: torchrun scripts/train.py train.denoiser=small"""

from tstitch.cli import command
from tstitch.training.run import run_training

if __name__ == "__main__":
    command("train", run_training)
