"""Trains the classifier that measures samples: python scripts/train_classifier.py"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.training.classifier import run_classifier_training

    run_classifier_training(config)


if __name__ == "__main__":
    command("train_classifier", run)
