"""A small set of captioned images, and trainings of networks of a few thousand weights on it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tstitch.config.cli import compose
from tstitch.text_training.run import run_text_training

TILE, COLUMNS = 64, 4
SUBJECTS = ("red square", "blue square", "red disc", "blue disc", "red bar", "blue bar")
STYLES = ("filled", "drawn", "grey")
TRAINED = ("encoder", "judge", "vae", "large", "small", "styled", "lcm", "lcm_small")
TINY = (
    "text.device=cpu", "text.checkpoint_every=2", "text.log_every=1", "text.tokens.merges=30",
    "text.tokens.length=12", "text.preview.images=2", "text.preview.steps=2",
    "text.vae.widths=[8,16]", "text.styled.style=grey", "data.side=16",
    *(f"text.{unet}.attention=[false,true]" for unet in ("large", "small")),
    "text.large.widths=[16,16]", "text.small.widths=[8,8]",
    *(f"text.{stage}.{field}" for stage in ("encoder", "judge") for field in (
        "width=16", "layers=1", "heads=2", "embedding=8", "tower=[8,16]", "patch=4", "shift=2",
    )),
    *(f"text.{stage}.{field}" for stage in TRAINED for field in (
        "steps=4", "batch_size=4", "warmup_steps=0", "decay_steps=2", "measure_every=2",
    )),
)  # fmt: skip


def tile(subject: int, style: int) -> Image.Image:
    """A shape that says both."""
    image = Image.new("RGB", (TILE, TILE), "white")
    colour = "grey" if style == 2 else SUBJECTS[subject].split()[0]
    box = (16, 16, 48, 48) if subject < 4 else (4, 28, 60, 36)
    pen = ImageDraw.Draw(image)
    draw = pen.ellipse if subject in (2, 3) else pen.rectangle
    draw(box, fill=None if style == 1 else colour, outline=colour, width=4)
    return image


@pytest.fixture(scope="session")
def atlases(tmp_path_factory) -> Path:
    """Folder of 18 images, the last subject of each style held out."""
    folder = tmp_path_factory.mktemp("atlases")
    count = len(SUBJECTS)
    for style, words in enumerate(STYLES):
        atlas = np.full((TILE * 2, TILE * COLUMNS, 3), 255, np.uint8)
        for subject in range(count):
            row, column = divmod(subject, COLUMNS)
            place = np.s_[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            atlas[place] = np.asarray(tile(subject, style))
        Image.fromarray(atlas).save(folder / f"emoji64_{words}.webp", lossless=True)
    order = [(style, subject) for style in range(len(STYLES)) for subject in range(count)]
    meta = {
        "styles": [{"key": words, "words": words} for words in STYLES],
        "emoji": [{"caption": name} for name in SUBJECTS],
        "style": [style for style, _ in order],
        "item": [subject for _, subject in order],
        "split": [int(subject == style) for style, subject in order],
    }
    (folder / "emoji.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture(scope="session")
def tiny_text(atlases):
    """Function (text.dir, *overrides) -> overrides of a tiny training on those images."""

    def overrides(folder: Path, *more: str) -> list[str]:
        return [f"data.folder={atlases}", f"text.dir={folder}", *TINY, *more]

    return overrides


@pytest.fixture(scope="session")
def made(tiny_text):
    """Function (text.dir, *overrides) -> text.dir, after such a training in this process."""

    def run(folder: Path, *more: str) -> Path:
        run_text_training(compose("train_text", tiny_text(folder, *more)))
        return folder

    return run


@pytest.fixture(scope="session")
def whole(tmp_path_factory, tiny_text, run_script) -> Path:
    """text.dir of all stages, made by the command."""
    folder = tmp_path_factory.mktemp("text")
    done = run_script("train_text.py", *tiny_text(folder))
    assert done.returncode == 0, done.stderr
    return folder
