"""Where a report goes: one of more images, made by an earlier command, stays as it is."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tstitch.files import write_text
from tstitch.first import first_folder
from tstitch.paper.figure_settings import Figure
from tstitch.paper.settings import Reproduction

MARK = re.compile(r"<!-- images of a point: (\d+) -->\n")
log = logging.getLogger(__name__)


def images_of(figures: Sequence[Figure]) -> int:
    """The most images of a point, or of a probe where there are no points; 0 without either."""
    points = [curve.images for figure in figures for curve in figure.curves]
    probes = [figure.probe.images for figure in figures if figure.probe is not None]
    return max(points or probes, default=0)


def own_report(told: Reproduction, count: int) -> Reproduction:
    """The settings with a report below the named one, where that is of more images.

    Args:
        count: of `images_of`.
    """
    path = Path(f"{told.report}.md")
    if not path.is_file():
        return told
    found = MARK.search(path.read_text())
    # One that does not say it is taken for that of the figure's own number of images.
    if (int(found[1]) if found else count + (told.images is not None)) <= count:
        return told
    own = first_folder(Path(told.report), count)
    log.info("%s: keeps its more images; the report of %d: %s.md", path, count, own)
    return replace(told, report=str(own))


def mark(path: Path, count: int) -> None:
    """Notes in a written report how many images it is of."""
    write_text(path, f"{path.read_text()}\n<!-- images of a point: {count} -->\n")
