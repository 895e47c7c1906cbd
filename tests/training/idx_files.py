"""IDX files for the tests of training."""

import gzip
from pathlib import Path

import numpy as np

NUM_IMAGES = 60


def write_idx(path: Path, values: np.ndarray, magic: bytes = bytes([0, 0, 8])) -> Path:
    """An IDX file of unsigned bytes, gzipped if its name ends so."""
    header = magic + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes()
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(header + values.astype(np.uint8).tobytes())
    return path


def visible_classes(num_images: int = NUM_IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and labels: class 0 dark, class 1 bright."""
    labels = np.arange(num_images) % 2
    noise = np.random.default_rng(0).integers(0, 30, (num_images, 28, 28))
    return (noise + 220 * labels[:, None, None]).astype(np.uint8), labels
