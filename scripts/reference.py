"""Statistics of a data set's images in a feature space: scripts/reference.py data=NAME"""

from tstitch.config.cli import command


def run(config: dict) -> None:
    """The command; torch is imported only once the command line is understood."""
    from tstitch.scoring.make_reference import make_reference

    make_reference(config)


if __name__ == "__main__":
    command("reference", run)
