"""Labelled grids of images."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tstitch.files import replacing

MIN_CELL = 84  # pixels; smaller images are enlarged by a whole factor
MARGIN = 4
LABEL_HEIGHT = 16


def cell_size(side: int) -> tuple[int, int]:
    """Width and height in pixels that an image of this side takes in a grid."""
    enlarged = side * _enlargement(side)
    return enlarged + MARGIN, enlarged + LABEL_HEIGHT + MARGIN


def draw_grid(images: np.ndarray, labels: Sequence[str], columns: int | None = None) -> Image.Image:
    """Images in rows, each under its label.

    Args:
        images: uint8 (N, S, S, 3).
        labels: N texts; one too long for its cell is shortened.
        columns: images per row; None = a square.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    side = images.shape[1] * _enlargement(images.shape[1])
    rows = math.ceil(len(images) / columns)
    cell_width, cell_height = cell_size(images.shape[1])
    size = (columns * cell_width + MARGIN, rows * cell_height + MARGIN)
    canvas = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = MARGIN + index % columns * cell_width
        top = MARGIN + index // columns * cell_height
        pen.text((left + 1, top), _fitting(label, font, side), fill="black", font=font)
        tile = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
        canvas.paste(tile, (left, top + LABEL_HEIGHT))
    return canvas


def save_image(image: Image.Image, path: Path) -> None:
    """Writes a PNG by temporary name and rename."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def _enlargement(side: int) -> int:
    return max(1, math.ceil(MIN_CELL / side))


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
