"""Sheets of labelled images: a grid, and a strip of the same images under every schedule."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MIN_CELL = 84  # pixels; smaller images are enlarged by a whole factor
MARGIN = 4
LINE_HEIGHT = 16
MAX_LINES = 3  # of a label
MAX_ROW_LABEL = 240  # pixels; longer ones are broken
FONT_SIZE = 12
INK = "#767c82"


def cell_size(shape: tuple[int, int], lines: int = 1) -> tuple[int, int]:
    """Width and height in pixels that an image (height, width) takes in a grid."""
    height, width = (side * _enlargement(shape[1]) for side in shape)
    return width + MARGIN, height + lines * LINE_HEIGHT + MARGIN


def draw_grid(
    images: np.ndarray, labels: Sequence[str], columns: int | None = None, lines: int = 1
) -> Image.Image:
    """Images in rows, each under its label.

    Args:
        images: uint8 (N, H, W, 3).
        labels: N texts; one too long for its cell is shortened.
        columns: images per row; None = a square.
        lines: of a label; more than one are for texts, which are broken at spaces.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    cell_width, cell_height = cell_size(images.shape[1:3], lines)
    rows = math.ceil(len(images) / columns)
    size = (columns * cell_width + MARGIN, rows * cell_height + MARGIN)
    canvas = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_SIZE)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = MARGIN + index % columns * cell_width
        top = MARGIN + index // columns * cell_height
        width = cell_width - MARGIN
        text = _wrapped(label, font, width, lines) if lines > 1 else _fitting(label, font, width)
        pen.text((left + 1, top), text, fill="black", font=font, spacing=2)
        canvas.paste(_tile(image), (left, top + lines * LINE_HEIGHT))
    return canvas


def draw_strip(
    images: np.ndarray, columns: Sequence[str], rows: Sequence[str], clear: bool = False
) -> Image.Image:
    """The same images under all runs, side by side (T-Stitch, Fig. 1).

    Args:
        images: uint8 (points, rows, H, W, 3).
        columns: a label per point, over its column; in up to three lines.
        rows: a label per image, left of its row, e.g. the class; in up to three lines, too.
        clear: without a background, labels in a grey that is read on white and on dark pages;
            RGBA.

    Raises:
        ValueError: another shape or dtype, or other numbers of labels.
    """
    expected = (len(columns), len(rows))
    if images.ndim != 5 or images.dtype != np.uint8 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"images={images.dtype} {images.shape}: give uint8 (points, rows, H, W, 3)"
        )
    if images.shape[:2] != expected:
        raise ValueError(f"images={images.shape}: there are {expected} labels; give one of each")
    (width, height), font = _tile(images[0, 0]).size, ImageFont.load_default(FONT_SIZE)
    headers = [_wrapped(text, font, width) for text in columns]
    rows = [_wrapped(text, font, MAX_ROW_LABEL) for text in rows]
    top = max(text.count("\n") + 1 for text in headers) * LINE_HEIGHT + MARGIN
    widths = [font.getlength(line) for text in rows for line in text.splitlines()]
    left = math.ceil(max(widths, default=0)) + 2 * MARGIN
    size = (left + len(columns) * (width + MARGIN), top + len(rows) * (height + MARGIN))
    canvas = Image.new("RGBA", size) if clear else Image.new("RGB", size, "white")
    pen, ink = ImageDraw.Draw(canvas), INK if clear else "black"
    for row, text in enumerate(rows):
        middle = top + row * (height + MARGIN) + height // 2
        pen.text((MARGIN, middle), text, fill=ink, font=font, anchor="lm", spacing=2)
    for column, text in enumerate(headers):
        x = left + column * (width + MARGIN)
        pen.multiline_text((x, 0), text, fill=ink, font=font, spacing=2)
        for row in range(len(rows)):
            canvas.paste(_tile(images[column, row]), (x, top + row * (height + MARGIN)))
    return canvas


def _enlargement(width: int) -> int:
    return max(1, math.ceil(MIN_CELL / width))


def _tile(image: np.ndarray) -> Image.Image:
    """An image (H, W, 3), enlarged."""
    factor = _enlargement(image.shape[1])
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return Image.fromarray(image).resize(size, Image.Resampling.NEAREST)


def _wrapped(text: str, font: Font, width: int, most: int = MAX_LINES) -> str:
    """Lines that fit the width, broken at spaces; a word or a line too many is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(_fitting(line, font, width) for line in lines[:most])


def _fitting(text: str, font: Font, width: int) -> str:
    while text and font.getlength(text) > width:
        text = text[:-1]
    return text
