"""python -m tstitch.runs [FOLDER]: run directories below it, those that changed last at the end."""

import sys
from pathlib import Path

from tstitch.runs.found import Run, runs_below

DEFAULT = "runs"  # run.root of configs/
HEADER = ("images", "sampler", "schedule", "guidance", "FID", "directory")


def main(words: list[str]) -> int:
    """Prints the table; 2 if there is no such folder."""
    root = Path(words[0] if words else DEFAULT)
    if len(words) > 1 or not root.is_dir():
        what = f"folder={root}: is not there" if len(words) < 2 else f"{' '.join(words)}: too much"
        print(f"error: {what}; give one folder of runs", file=sys.stderr)
        return 2
    rows = [HEADER, *map(_row, runs_below(root))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def _row(run: Run) -> tuple[str, ...]:
    return (run.images, run.sampler, run.schedule, run.guidance, run.loss, str(run.folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
