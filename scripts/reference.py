"""Statistics of a data set's images in a feature space: scripts/reference.py data=NAME"""

from tstitch.config.cli import command

if __name__ == "__main__":
    command("reference", "tstitch.scoring.make_reference:make_reference")
