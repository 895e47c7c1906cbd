"""Where a report goes: one of more images, made by an earlier command, stays as it is."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.settings import Reproduction
from tstitch.run.first_images import first_folder

MARK = "<!-- images of a point: {} -->\n"
FOUND = re.compile(MARK.format(r"(\d+)"))
log = logging.getLogger(__name__)


def images_of(figures: Sequence[Figure]) -> int:
    """The most images of a point, or of a probe where there are no points; 0 without either."""
    points = [curve.images for figure in figures for curve in figure.curves]
    return max(points or [figure.images_looked_at for figure in figures], default=0)


def report_folder(figure: Figure, settings: Reproduction, count: int) -> Path:
    """The folder named for the report, or one below it where that is of more images."""
    folder = Path(settings.report) if settings.report else figure.folder(settings)
    path = Path(f"{folder}.md")
    if not path.is_file():
        return folder
    found = FOUND.search(path.read_text())
    # One that does not say it is taken for that of the figure's own number of images.
    if (int(found[1]) if found else count + (settings.images is not None)) <= count:
        return folder
    own = first_folder(folder, count)
    log.info("%s: keeps its more images; the report of %d: %s.md", path, count, own)
    return own


def marked(text: str, count: int) -> str:
    """A report with a note of how many images it is of."""
    return f"{text}\n{MARK.format(count)}"
