"""Students of a comparison: trained by the command, and what stands for them until they are."""

import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tstitch.config.cli import compose, override
from tstitch.distil.plan import M4, timesteps_of
from tstitch.distil.record import PLAN, StudentRecord
from tstitch.distil.run import STUDENT, run_distillation, texts_digest
from tstitch.distil.settings import DistilSettings
from tstitch.distil.teacher import read_captions, read_teacher
from tstitch.maker.identity import Identity
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

UNET = "unet"
ELSEWHERE = ("dir", "captions", "device", "minutes", "preview")  # no part of what is learned
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Training:
    """What a training was like, out of its log."""

    steps: int
    images: int
    core_seconds: float  # of one process, by the rate that the log has; 0 = not told
    # Of the last fifth: by timestep of the decoder, mean and variance of its noise.
    noises: dict[str, tuple[float, float]]


def training_words(common: Sequence[str], own: Sequence[str], seed: int) -> list[str]:
    """Overrides of scripts/distil.py, all but its folder.

    Raises:
        UserError: a bad one.
    """
    words = [*common, *own, f"distil.seed={seed}"]
    for word in words:
        if word.partition("=")[0] == "distil.dir":
            raise UserError(f"{word}: of students is for the figure to decide; leave it out")
    DistilSettings.parse(compose("distil", words)["distil"])
    return words


def stand_in(words: Sequence[str], denoiser: str) -> list[str]:
    """Overrides of a run that has the teacher's U-Net where a student is to come."""
    settings = DistilSettings.parse(compose("distil", list(words))["distil"])
    field = f"pair.denoisers.{denoiser}.network"
    found = [override(f"{field}.source", f"{settings.teacher.rstrip('/')}/{UNET}")]
    if settings.arm == M4:
        return found
    timesteps, clean = timesteps_of(settings.arm, settings.timesteps, settings.clean)
    return [
        *found,
        f"++{field}.timesteps={json.dumps(timesteps)}",
        f"++{field}.clean={json.dumps(clean)}",
    ]


def trained(root: Path, label: str, words: Sequence[str]) -> Path:
    """The student's U-Net, which is trained as far as it is not; every rank calls it alike.

    Returns:
        A folder of diffusers below the training's.

    Raises:
        UserError: as of `run_distillation`; what is trained stays.
    """
    config = compose("distil", list(words))
    teacher = config["distil"]["teacher"]
    digest = distributed.on_main(lambda: read_teacher(teacher).digest())
    own = _identity(config, digest).short
    folder = root / f"{label}-{own}"
    if not distributed.on_main(lambda: _is_done(folder, config["distil"]["steps"])):
        log.info("%s: trained in %s", label, folder)
        run_distillation(compose("distil", [*words, override("distil.dir", str(folder))]))
    return folder / STUDENT / UNET


def _identity(config: dict[str, Any], teacher: str) -> Identity:
    """What decides a student, whatever words of a command say it."""
    captions = config["distil"]["captions"]
    digest = None
    if captions is not None:
        digest = distributed.on_main(lambda: texts_digest(read_captions(captions, None)))
    training = {k: v for k, v in config["distil"].items() if k not in ELSEWHERE}
    own = {"training": training, "data": config["data"], "captions": digest, "teacher": teacher}
    return Identity(own)


def _is_done(folder: Path, steps: int) -> bool:
    try:
        return StudentRecord.read(folder / STUDENT / UNET / PLAN).steps >= steps
    except (OSError, ValueError):
        return False


def read_training(unet: Path) -> Training:
    """What the log of a student's training says."""
    with (unet.parent.parent / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    late = rows[-max(1, len(rows) // 5) :]
    places = [name.removeprefix("eps_mean_") for name in rows[0] if name.startswith("eps_mean_")]
    images = int(rows[-1]["captions"])
    rate = median(float(row["cpu_images_per_s"]) for row in rows)
    return Training(
        steps=int(rows[-1]["step"]),
        images=images,
        core_seconds=images / rate if rate else 0.0,
        noises={
            t: (
                median(float(row[f"eps_mean_{t}"]) for row in late),
                median(float(row[f"eps_variance_{t}"]) for row in late),
            )
            for t in places
        },
    )
