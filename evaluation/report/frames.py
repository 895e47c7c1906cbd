"""Videos as still images: a few frames of each, side by side."""

import math

import numpy as np

SHOWN = 4  # frames of a video, at most


def sheet_shape(shape: tuple[int, int], frames: int) -> tuple[int, int]:
    """Height and width in pixels of a video's sheet.

    Args:
        shape: of the video, whose frames lie below each other.
        frames: how many.
    """
    rows, columns = _layout(frames)
    return shape[0] // frames * rows, shape[1] * columns


def frame_sheets(videos: np.ndarray, frames: int) -> np.ndarray:
    """Up to four evenly spaced frames of each video, the first and the last among them, in rows.

    Args:
        videos: uint8 (N, frames * H, W, 3), frames below each other.
        frames: of each; 1 = images, which stay as they are.

    Returns:
        uint8 (N, rows * H, columns * W, 3), white where there is no frame.
    """
    count, height, width = len(videos), videos.shape[1] // frames, videos.shape[2]
    chosen = np.linspace(0, frames - 1, min(frames, SHOWN)).round().astype(int)
    apart = videos.reshape(count, frames, height, width, 3)[:, chosen]
    rows, columns = _layout(frames)
    sheets = np.full((count, rows * height, columns * width, 3), 255, videos.dtype)
    for place in range(len(chosen)):
        top, left = place // columns * height, place % columns * width
        sheets[:, top : top + height, left : left + width] = apart[:, place]
    return sheets


def _layout(frames: int) -> tuple[int, int]:
    """Rows and columns of a sheet."""
    shown = min(frames, SHOWN)
    columns = math.ceil(math.sqrt(shown))
    return math.ceil(shown / columns), columns
