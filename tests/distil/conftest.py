"""A teacher of a few thousand weights, and trainings of students of it."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tstitch.config.cli import compose

CAPTIONS = ("a cat", "a dog on a mat", "two birds", "a red sun", "fog", "an old tree", "a boat")
SCHEDULER = {
    "_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "prediction_type": "epsilon", "num_train_timesteps": 1000,
    "steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False,
}  # fmt: skip
TINY = (
    "distil.device=cpu", "distil.steps=10", "distil.batch_size=4", "distil.log_every=1",
    "distil.checkpoint_every=3", "distil.learning_rate=1e-3", "distil.fake.learning_rate=1e-3",
    "distil.fake.rank=2", "distil.fake.alpha=4", "distil.preview.images=0",
)  # fmt: skip


@pytest.fixture(scope="session")
def scheduler_config() -> dict:
    """Of the teacher: Stable Diffusion's."""
    return SCHEDULER


@pytest.fixture(scope="session")
def teacher(tmp_path_factory, text_pipeline, unet_config, build_vae) -> Path:
    """Folder of a pipeline: 4 latent channels of side 8, images of side 16."""
    import torch
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("teacher") / "pipeline"
    for part in ("text_encoder", "tokenizer"):
        shutil.copytree(text_pipeline / part, folder / part)
    config = {key: value for key, value in unet_config.items() if key[0] != "_"}
    config |= {"in_channels": 4, "out_channels": 4}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        UNet2DConditionModel(**config).save_pretrained(folder / "unet")
    build_vae(folder / "vae")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return folder


@pytest.fixture(scope="session")
def captions(tmp_path_factory) -> Path:
    """A text file."""
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    path.write_text("\n".join(CAPTIONS) + "\n")
    return path


@pytest.fixture(scope="session")
def tiny_distil(teacher, captions):
    """Function (distil.dir, *overrides) -> overrides of a training of ten steps."""

    def overrides(folder: Path, *more: str) -> list[str]:
        own = [f"distil.teacher={teacher}", f"distil.captions={captions}", f"distil.dir={folder}"]
        return [*own, *TINY, *more]

    return overrides


@pytest.fixture(scope="session")
def distilled(tiny_distil):
    """Function (distil.dir, *overrides) -> distil.dir, after such a training in this process."""
    from tstitch.distil.run import run_distillation

    def run(folder: Path, *more: str) -> Path:
        run_distillation(compose("distil", tiny_distil(folder, *more)))
        return folder

    return run


@pytest.fixture(scope="session")
def students(tmp_path_factory, distilled):
    """Function (arm) -> unet/ of a student after two steps, trained once."""
    made: dict[str, Path] = {}

    def student(arm: str) -> Path:
        if arm not in made:
            folder = tmp_path_factory.mktemp("student")
            distilled(folder, f"distil.arm={arm}", "distil.steps=2", "distil.save_dtype=fp16")
            made[arm] = folder / "student" / "unet"
        return made[arm]

    return student


@pytest.fixture(scope="session")
def log_rows():
    """Function (distil.dir) -> rows of log.csv, without what a clock says."""

    def read(folder: Path) -> list[dict[str, str]]:
        with (folder / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{k: v for k, v in row.items() if "per_s" not in k} for row in rows]

    return read
