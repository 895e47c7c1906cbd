"""The same images under every schedule, side by side."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageFont

MIN_CELL = 84  # pixels; smaller images are enlarged by a whole factor
MARGIN = 4
LINE_HEIGHT = 16
MAX_HEADER_LINES = 3


def draw_strip(images: np.ndarray, columns: Sequence[str], rows: Sequence[str]) -> "Image.Image":
    """The same images under all runs, side by side (T-Stitch, Fig. 1).

    Args:
        images: uint8 (points, rows, H, W, 3).
        columns: a label per point, over its column; in up to three lines.
        rows: a label per image, left of its row, e.g. the class.

    Raises:
        ValueError: another shape or dtype, or other numbers of labels.
    """
    from PIL import Image, ImageDraw, ImageFont

    expected = (len(columns), len(rows))
    if images.ndim != 5 or images.dtype != np.uint8 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"images={images.dtype} {images.shape}: give uint8 (points, rows, H, W, 3)"
        )
    if images.shape[:2] != expected:
        raise ValueError(f"images={images.shape}: there are {expected} labels; give one of each")
    factor = max(1, math.ceil(MIN_CELL / images.shape[3]))
    height, width = images.shape[2] * factor, images.shape[3] * factor
    font = ImageFont.load_default(12)
    headers = [_wrapped(text, font, width) for text in columns]
    top = max(map(len, headers)) * LINE_HEIGHT + MARGIN
    left = math.ceil(max(font.getlength(text) for text in rows)) + 2 * MARGIN
    size = (left + len(columns) * (width + MARGIN), top + len(rows) * (height + MARGIN))
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    for row, text in enumerate(rows):
        middle = top + row * (height + MARGIN) + height // 2
        pen.text((MARGIN, middle), text, fill="black", font=font, anchor="lm")
    for column, lines in enumerate(headers):
        x = left + column * (width + MARGIN)
        pen.multiline_text((x, 0), "\n".join(lines), fill="black", font=font, spacing=2)
        for row in range(len(rows)):
            tile = Image.fromarray(images[column, row])
            tile = tile.resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(tile, (x, top + row * (height + MARGIN)))
    return canvas


def _wrapped(text: str, font: "ImageFont.FreeTypeFont", width: int) -> list[str]:
    """Lines that fit the width, broken at spaces; a word or a line too many is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    fitting = []
    for line in lines[:MAX_HEADER_LINES]:
        while font.getlength(line) > width:
            line = line[:-1]
        fitting.append(line)
    return fitting
