"""Pictures that appear under their name whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from evaluation.report.plots import write_figure
from tstitch.files.writing import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_image(image: Image.Image, path: Path) -> None:
    """Writes a PNG."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def save_figure(figure: "Figure", stem: Path) -> None:
    """Writes STEM.png and STEM.pdf."""
    for kind in ("png", "pdf"):
        save_plot(figure, stem.with_name(f"{stem.name}.{kind}"))


def save_plot(figure: "Figure", path: Path) -> None:
    """Writes a PNG or PDF, as its name ends."""
    with replacing(path) as temporary:
        write_figure(figure, temporary, path.suffix[1:])
