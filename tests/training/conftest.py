"""A data set whose class is visible, and trainings of a network of a few thousand parameters."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tstitch.cli import compose
from tstitch.training.run import run_training

NUM_IMAGES = 60
TINY = (
    "device=cpu", "dtype=fp32", "denoiser=small", "steps=6", "batch_size=8", "learning_rate=3e-3",
    "warmup_steps=2", "decay_steps=2", "checkpoint_every=3", "log_every=1", "sample_every=0",
)  # fmt: skip
NETWORK = "pair.denoisers.small.network"


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


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    """Four IDX files, as `data=idx_folder` reads them."""
    folder = tmp_path_factory.mktemp("idx")
    images, labels = visible_classes()
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="session")
def tiny(data_folder):
    """Function (train.dir, *overrides) -> overrides of a tiny training on those images."""

    def overrides(folder: Path, *more: str) -> list[str]:
        fields = [f"train.{field}" for field in (*TINY, f"dir={folder}")]
        sizes = [f"{NETWORK}.hidden_size=16", f"{NETWORK}.depth=1", f"{NETWORK}.patch_size=7"]
        return ["data=idx_folder", f"data.folder={data_folder}", *fields, *sizes, *more]

    return overrides


@pytest.fixture(scope="session")
def trained(tiny):
    """Function (train.dir, *overrides) -> train.dir, after such a training in this process."""

    def run(folder: Path, *more: str) -> Path:
        run_training(compose("train", tiny(folder, *more)))
        return folder

    return run
