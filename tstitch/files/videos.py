"""Videos as MP4 files, by imageio and the ffmpeg that imageio-ffmpeg brings."""

from importlib.util import find_spec

import numpy as np

from tstitch.runtime.errors import UserError

LIBRARIES = ("imageio", "imageio_ffmpeg")


def check_encoder(field: str) -> None:
    """Refuses a setting that wants videos where nothing can write them.

    Args:
        field: with its value.

    Raises:
        UserError: a library is not there.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UserError(f"{field}: needs {' and '.join(missing)}; pip install -e '.[video]'")


def encode_video(frames: np.ndarray, fps: int) -> bytes:
    """An MP4 file of H.264; the same bytes for the same frames and ffmpeg.

    Args:
        frames: uint8 (F, H, W, 3), H and W even.
        fps: frames per second.
    """
    import imageio.v3

    content: bytes = imageio.v3.imwrite(
        "<bytes>", frames, extension=".mp4", plugin="FFMPEG", fps=fps, macro_block_size=1
    )
    return content
