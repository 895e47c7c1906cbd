"""Trains a student that makes an image in one pass: torchrun scripts/distil.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("distil", "tstitch.distil.run:run_distillation")
