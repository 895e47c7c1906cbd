"""Sheets of a video's frames."""

import numpy as np
import pytest

from evaluation.report.frames import frame_sheets, sheet_shape


def videos(frames, height=2, width=3):
    """Two videos whose frame k is of the grey k, of the second one 100 more."""
    greys = np.arange(frames, dtype=np.uint8)[None, :] + np.array([[0], [100]], np.uint8)
    pixels = np.ones((2, frames, height, width, 3), np.uint8) * greys[:, :, None, None, None]
    return pixels.reshape(2, frames * height, width, 3)


@pytest.mark.parametrize(
    ("frames", "greys"),
    [
        (1, [[0]]),
        (2, [[0, 1]]),
        (3, [[0, 1], [2, 255]]),
        (4, [[0, 1], [2, 3]]),
        (81, [[0, 27], [53, 80]]),
    ],
)
def test_frames_and_their_places(frames, greys):
    """Catches: a column-wise order, the last frame left out, sheets of another size than said."""
    sheets = frame_sheets(videos(frames), frames)
    assert sheets.shape[1:3] == sheet_shape((frames * 2, 3), frames)
    assert sheets[0, ::2, ::3, 0].tolist() == greys
    assert (sheets[1, :2, :3] == 100).all()


def test_images_stay_as_they_are():
    """Catches: images that are taken for a frame of something."""
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 5, 3)).astype(np.uint8)
    assert np.array_equal(frame_sheets(images, 1), images)
