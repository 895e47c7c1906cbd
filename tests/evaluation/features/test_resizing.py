"""Images that an evaluation resizes: by Pillow, to a square, from files of any sizes."""

import numpy as np
import pytest
from PIL import Image

from evaluation.features.images import open_images
from evaluation.features.resizing import Resized

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)


def test_as_pillow_resizes():
    """Catches: another filter, a crop, channels or images that change places."""
    source = open_images(IMAGES, "samples")
    source.prompts = ("a", "b", "c")
    found = Resized(source, 16)
    expected = [np.asarray(Image.fromarray(image).resize((16, 16))) for image in IMAGES]
    assert np.array_equal(found.read(0, 3), expected) and found.read(1, 2).shape == (1, 16, 16, 3)
    assert (len(found), found.height, found.width) == (3, 16, 16)
    assert found.prompts == source.prompts and found.labels is None
    assert np.array_equal(Resized(open_images(IMAGES[:, :, :24], "samples"), 24).read(0, 3),
                          IMAGES[:, :, :24])  # fmt: skip


def test_folder_of_many_sizes(tmp_path):
    """Catches: COCO's folder refused though its images are resized, or read at their own size."""
    for number, size in enumerate([(30, 20), (10, 40), (16, 16)]):
        Image.new("RGB", size, (number, 2, 3)).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match="give images of one size"):
        open_images(tmp_path, "reference")
    found = open_images(tmp_path, "reference", side=16)
    assert (found.height, found.width, len(found)) == (16, 16, 3)
    assert found.read(0, 3)[:, 8, 8, 0].tolist() == [0, 1, 2]
