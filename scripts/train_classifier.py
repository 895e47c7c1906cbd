"""Trains the classifier that measures samples: python scripts/train_classifier.py"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("train_classifier", "tstitch.training.classifier:run_classifier_training")
