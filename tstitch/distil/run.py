"""`scripts/distil.py`: trains a student that makes an image in one pass, without images."""

import copy
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tstitch.config import fields
from tstitch.config.cli import instantiate, not_a
from tstitch.data.captioned import CaptionedImages
from tstitch.distil.folder import save_student
from tstitch.distil.loop import Workshop, new_state, train
from tstitch.distil.plan import StudentPlan, student_plan, timesteps_of
from tstitch.distil.preview import Preview
from tstitch.distil.recorder import Recorder
from tstitch.distil.scores import Scores
from tstitch.distil.settings import DistilSettings
from tstitch.distil.teacher import Teacher, check_latents, read_captions, read_teacher
from tstitch.files.lock import FolderLock
from tstitch.files.writing import remove_leftovers, writing_to
from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError, errors_of
from tstitch.tracking.tracker import Tracker, TrackingSettings, start_tracking
from tstitch.training.checkpoint import restore
from tstitch.training.preview import averaged_network

FIELD = "distil.dir"
STUDENT = "student"  # folder of the result
log = logging.getLogger(__name__)


def run_distillation(config: dict[str, Any]) -> None:
    """Trains a student of distil.teacher, or goes on from distil.dir/checkpoint.pt.

    Raises:
        UserError: a bad value, a teacher or captions that do not fit, a checkpoint of another
            training, or a folder in use.
    """
    fields.check_sections(config, ("data", "distil", "tracking"))
    settings = DistilSettings.parse(config["distil"])
    tracking = TrackingSettings.parse(config["tracking"])
    device = choose_device(settings.device, "distil.device")
    teacher = read_teacher(settings.teacher)
    plan = _plan(teacher, settings)
    data = None if settings.captions is not None else _data(config["data"])
    captions = read_captions(settings.captions, data)
    folder = Path(settings.dir)
    with writing_to(folder, FIELD):
        folder.mkdir(parents=True, exist_ok=True)

    distributed.start()
    lock = FolderLock(folder, FIELD, "training")
    distributed.on_main(lock.take)
    try:
        distributed.on_main(lambda: remove_leftovers(folder))
        with start_tracking(tracking, "distil", config, folder) as tracker:
            _distil(settings, teacher, plan, (captions, data), device, folder, tracker)
    finally:
        lock.release()


def _plan(teacher: Teacher, settings: DistilSettings) -> StudentPlan:
    last = teacher.process.num_timesteps
    for name, span in (
        ("score_timesteps", settings.score_timesteps), ("fake.timesteps", settings.fake.timesteps)
    ):  # fmt: skip
        if span[1] > last:
            raise UserError(f"distil.{name}={[*span]}: the teacher has timesteps below {last}")
    timesteps, clean = timesteps_of(settings.arm, settings.timesteps, settings.clean)
    with errors_of("distil."):
        return student_plan(teacher.process, settings.arm, timesteps, clean)


def _data(section: Any) -> CaptionedImages:
    data = instantiate(section, "data")
    if not isinstance(data, CaptionedImages):
        raise not_a(section, "data", "set of captioned images")
    return data


def _distil(
    settings: DistilSettings,
    teacher: Teacher,
    plan: StudentPlan,
    learned: tuple[tuple[str, ...], CaptionedImages | None],
    device: torch.device,
    folder: Path,
    tracker: Tracker,
) -> None:
    captions, data = learned
    unet = distributed.main_first(teacher.unet).to(device)
    student = copy.deepcopy(unet).requires_grad_(True)
    scores = Scores(unet, settings.fake, settings.seed)
    state = new_state(student, scores, settings)
    state.stream |= {"teacher": teacher.digest(), "captions": texts_digest(captions)}
    names = {name: f"distil.{name}" for name in state.stream}
    if distributed.everywhere(lambda: restore(state, folder, FIELD, names, {})):
        log.info("%s: at step %d of %d", folder, state.step, settings.steps)
    if state.step < settings.steps:
        states = distributed.main_first(lambda: teacher.states(captions, device))
        alpha_bar = torch.from_numpy(teacher.process.alphas_cumprod).float().to(device)
        shape = teacher.latent_shape
        workshop = Workshop(plan, scores, states, alpha_bar, shape, settings, device)
        opened: list[Preview | None] = []  # by rank 0, for itself alone
        distributed.on_main(
            lambda: opened.append(_open(settings, teacher, scores, learned, device))
        )
        train(state, workshop, Recorder(state, settings, plan, folder, tracker, *opened[:1]))
    averaged = averaged_network(student, state.ema.weights)
    place = folder / STUDENT
    distributed.on_main(lambda: save_student(averaged, settings, teacher, plan, state.step, place))
    log.info("after %d of %d steps in %s", state.step, settings.steps, place)


def texts_digest(captions: tuple[str, ...]) -> str:
    """SHA-256 of captions in their order."""
    return hashlib.sha256(json.dumps(captions).encode()).hexdigest()


def _open(
    settings: DistilSettings,
    teacher: Teacher,
    scores: Scores,
    learned: tuple[tuple[str, ...], CaptionedImages | None],
    device: torch.device,
) -> Preview | None:
    """Looks at the data's latents, and makes what previews begin with."""
    captions, data = learned
    count = settings.preview.images
    if data is None and not count:
        return None
    space = teacher.space(device)
    if data is None:
        log.info("latents: not looked at, captions of a file have no images")
    else:
        check_latents(data, space)
        captions = tuple(data.captions[index] for index in data.kept().tolist())
    if not count:
        return None
    chosen = np.linspace(0, len(captions) - 1, min(count, len(captions))).round().astype(int)
    shown = tuple(captions[index] for index in chosen)
    preview = Preview(shown, teacher.states(shown, device), space, device)
    preview.ask_teacher(scores, teacher.process, settings.preview.steps, settings.guidance)
    return preview
