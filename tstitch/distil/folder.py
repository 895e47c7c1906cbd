"""The folder of a student, as diffusers reads it, and what it says of its plan."""

from pathlib import Path
from typing import Any

from models.precision import DTYPES
from tstitch.distil.plan import StudentPlan, timesteps_of
from tstitch.distil.record import PLAN, StudentRecord
from tstitch.distil.settings import DistilSettings
from tstitch.distil.teacher import Teacher, scheduler_text
from tstitch.files.writing import write_text
from tstitch.training.checkpoint import writing
from tstitch.training.network_folder import save_diffusers

FIELD = "distil.dir"


def save_student(
    network: Any,
    settings: DistilSettings,
    teacher: Teacher,
    plan: StudentPlan,
    steps: int,
    folder: Path,
) -> None:
    """unet/ with its weights, config.json and plan, and scheduler/.

    Args:
        network: the averaged student, a UNet2DConditionModel.
        plan: how it makes an image.
        steps: that it was trained for.

    Raises:
        UserError: the folder cannot be written.
    """
    _, clean = timesteps_of(settings.arm, settings.timesteps, settings.clean)
    record = StudentRecord(
        arm=settings.arm,
        encoder=plan.encoder,
        timesteps=plan.timesteps,
        clean=clean,
        teacher=teacher.digest(),
        guidance=settings.guidance,
        kl_weight=settings.kl.weight,
        kl_form=settings.kl.form,
        fake=settings.fake.kind,
        steps=steps,
        captions_seen=steps * settings.batch_size,
        seed=settings.seed,
    )
    save_diffusers(network, folder / "unet", DTYPES[settings.save_dtype], FIELD)
    with writing(folder, FIELD):
        (folder / "scheduler").mkdir(exist_ok=True)
        write_text(folder / "scheduler" / "scheduler_config.json", scheduler_text(teacher))
        record.write(folder / "unet" / PLAN)
