"""Videos: a sheet of frames in the grid, and a file for each."""

import sys

import numpy as np
import pytest
from PIL import Image

from evaluation.report.frames import frame_sheets, sheet_shape
from evaluation.report.sheets import LINE_HEIGHT, MARGIN, cell_size

FRAMES, SIDE, LINES = 5, 16, 3


@pytest.fixture(scope="module")
def wan(words):
    """Overrides of tiny videos of five frames."""
    return (*words("wan21_13b_14b", "wan", SIDE), f"pair.frames={FRAMES}", "sampler.steps=2")


@pytest.fixture(scope="module")
def run(wan, sample, tmp_path_factory):
    """A run of three videos."""
    return sample(tmp_path_factory.mktemp("videos") / "run", *wan)


def test_the_grid_shows_frames(run, images):
    """Catches: a grid of towers, frames of one video beside another's, frames that are no images
    of it."""
    videos = images(run)
    assert videos.shape == (3, FRAMES * SIDE, SIDE, 3)
    shape = sheet_shape(videos.shape[1:3], FRAMES)
    assert shape == (2 * SIDE, 2 * SIDE)
    grid = np.asarray(Image.open(run / "grid.png"))
    width, height = cell_size(shape, LINES)
    assert grid.shape[0] == height + MARGIN
    top = MARGIN + LINES * LINE_HEIGHT
    for index, sheet in enumerate(frame_sheets(videos, FRAMES)):
        left = MARGIN + index * width
        shown = grid[top : top + height - top, left : left + width - MARGIN]
        factor = (width - MARGIN) // shape[1]
        assert np.array_equal(shown[::factor, ::factor][: shape[0]], sheet[: len(shown)])


def test_files(run, wan, sample, images):
    """Catches: files of other frames, sizes or speeds, files that are written anew though they are
    whole, or that stay though there are fewer videos."""
    reading = pytest.importorskip("imageio.v3")
    pytest.importorskip("imageio_ffmpeg")
    sample(run, *wan, "run.export=mp4")
    files = sorted((run / "videos").iterdir())
    assert [path.name for path in files] == [f"{k:06d}.mp4" for k in range(3)]
    for path, video in zip(files, images(run), strict=True):
        found = reading.imread(path, plugin="FFMPEG")
        assert found.shape == (FRAMES, SIDE, SIDE, 3)
        assert reading.immeta(path, plugin="FFMPEG")["fps"] == 16
        frames = video.reshape(found.shape).astype(
            float
        )  # of noise, which H.264 halves the colour of
        assert np.corrcoef(frames.mean(3).ravel(), found.mean(3).ravel())[0, 1] > 0.8
    before = files[1].stat().st_mtime_ns
    files[0].write_bytes(b"damaged")
    sample(run, *wan, "run.export=mp4")
    assert files[1].stat().st_mtime_ns == before and files[0].stat().st_size > 500
    sample(run, *wan, "run.num_images=1", "run.overwrite=true")
    assert not (run / "videos").exists()


def test_without_the_library(wan, refusal, monkeypatch):
    """Catches: a run that fails once its videos are made."""
    for name in ("imageio", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    message = refusal(*wan, "run.export=mp4")
    assert message == "run.export=mp4: needs imageio and imageio_ffmpeg; pip install -e '.[video]'"


def test_numbers_of_frames(wan, refusal):
    """Catches: frames that are cut off or repeated in silence."""
    message = refusal(*wan, "pair.frames=4")
    assert message == "pair.frames=4: choose 1 more than a multiple of 4"
