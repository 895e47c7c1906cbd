"""A data set whose class is visible, and trainings of a network of a few thousand parameters."""

from pathlib import Path

import pytest
from idx_files import visible_classes, write_idx

from tstitch.config.cli import compose
from tstitch.training.run import run_training

TINY = (
    "device=cpu", "dtype=fp32", "denoiser=small", "steps=6", "batch_size=8", "learning_rate=3e-3",
    "warmup_steps=2", "decay_steps=2", "checkpoint_every=3", "log_every=1", "sample_every=0",
)  # fmt: skip
NETWORK = "pair.denoisers.small.network"


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
        sizes = ["hidden_size=16", "depth=1", "patch_size=7", "mlp_ratio=4"]
        sizes = [f"{NETWORK}.{size}" for size in sizes]
        return ["data=idx_folder", f"data.folder={data_folder}", *fields, *sizes, *more]

    return overrides


@pytest.fixture(scope="session")
def trained(tiny):
    """Function (train.dir, *overrides) -> train.dir, after such a training in this process."""

    def run(folder: Path, *more: str) -> Path:
        run_training(compose("train", tiny(folder, *more)))
        return folder

    return run
