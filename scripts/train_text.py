"""Makes a text-to-image pair for diffusers' pipelines: python scripts/train_text.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("train_text", "tstitch.text_training.run:run_text_training")
