"""Labelled grids of images."""

import numpy as np
import pytest
from PIL import Image

from evaluation.report.sheets import LINE_HEIGHT, MARGIN, cell_size, draw_grid
from tstitch.files.pictures import save_image


def plain(count: int, side: int, level: int = 0) -> np.ndarray:
    return np.full((count, side, side, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("side", "enlarged"), [(1, 84), (28, 84), (32, 96), (64, 128), (84, 84), (85, 85), (256, 256)]
)
def test_cells_are_enlarged_by_whole_factors(side, enlarged):
    """Catches: cells too narrow for a label, blurred images, large images enlarged."""
    assert cell_size((side, side)) == (enlarged + MARGIN, enlarged + LINE_HEIGHT + MARGIN)


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (10, None, (3, 4)), (7, 3, (3, 3)),
     (6, 6, (1, 6)), (2, 5, (1, 5))],
)  # fmt: skip
def test_size(count, columns, shape):
    """Catches: a last row that is cut off, rows and columns exchanged."""
    width, height = cell_size((28, 28))
    grid = draw_grid(plain(count, 28), [""] * count, columns)
    assert grid.size == (shape[1] * width + MARGIN, shape[0] * height + MARGIN)


def test_images_stand_where_they_belong():
    """Catches: transposed images, a column-wise order, interpolated pixels."""
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 3)).astype(np.uint8)
    grid = np.asarray(draw_grid(images, list("abcdef"), columns=4))
    width, height = cell_size((28, 28))
    for index, image in enumerate(images):
        top = MARGIN + index // 4 * height + LINE_HEIGHT
        left = MARGIN + index % 4 * width
        cell = grid[top : top + 84, left : left + 84]
        assert np.array_equal(cell, image.repeat(3, axis=0).repeat(3, axis=1))
    assert (grid[MARGIN + height :, MARGIN + 2 * width :] == 255).all()  # no sixth and seventh


def label_strip(labels: list[str], index: int) -> np.ndarray:
    """Pixels over one image of a grid in one row."""
    grid = np.asarray(draw_grid(plain(len(labels), 28, 255), labels, columns=len(labels)))
    left = MARGIN + index * cell_size((28, 28))[0]
    return grid[MARGIN : MARGIN + LINE_HEIGHT, left : left + cell_size((28, 28))[0]]


def test_labels_are_drawn_over_their_image():
    """Catches: labels left out, all the same, or one column off."""
    assert (label_strip(["", "Bag"], 0) == 255).all()
    assert (label_strip(["", "Bag"], 1) < 128).any()
    assert np.array_equal(label_strip(["Bag", "Coat"], 1), label_strip(["Shirt", "Coat"], 1))
    assert not np.array_equal(label_strip(["Bag"], 0), label_strip(["Coat"], 0))


def test_long_labels_are_shortened():
    """Catches: a label that runs into its neighbour's cell."""
    long = "black-and-white colobus monkey"
    assert (label_strip([long, ""], 0) < 128).any()
    assert (label_strip([long, ""], 1) == 255).all()
    wide = draw_grid(plain(1, 256, 255), [long])
    assert (np.asarray(wide)[MARGIN : MARGIN + LINE_HEIGHT, 100:] < 128).any()  # fits there


def test_labels_stay_above_the_image():
    """Catches: descenders and accents painted over or cut by the image."""
    strip = label_strip(["gjpqy|"], 0)
    assert (strip[-1] == 255).all()


def test_one_label_per_image():
    """Catches: images dropped in silence for want of a label."""
    with pytest.raises(ValueError):
        draw_grid(plain(3, 28), ["a", "b"])


def test_saved_image(tmp_path):
    """Catches: a file without .png format under its temporary name, leftovers of it."""
    grid = draw_grid(plain(2, 28, 7), ["a", "b"])
    save_image(grid, tmp_path / "grid.png")
    assert [p.name for p in tmp_path.iterdir()] == ["grid.png"]
    with Image.open(tmp_path / "grid.png") as read:
        assert read.format == "PNG" and np.array_equal(np.asarray(read), np.asarray(grid))
