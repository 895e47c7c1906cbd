"""The checked `train` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import ValidationInfo, field_validator, model_validator

from tstitch.config import fields
from tstitch.config.settings import Device
from tstitch.runtime import distributed
from tstitch.training.rate import DrawSettings, NumSteps, RateSettings


class TrainSettings(DrawSettings, RateSettings):
    """How to train one denoiser of a pair; the fields are described in configs/train.yaml.

    Validated with the names of the pair's `denoisers`.
    """

    path = "train"
    decays_by = 5

    denoiser: str
    dir: fields.PathText
    init: fields.Text | None
    grow: fields.Flag
    teacher: str | None
    dtype: Annotated[str, fields.one_of(("fp32", "bf16"))]
    compile: fields.Flag
    device: Device
    workers: NumSteps
    latents: Annotated[str, fields.one_of(("encode", "cache"))]
    flip: fields.Flag
    checkpoint_every: fields.Count
    log_every: fields.Count
    sample_every: NumSteps
    snapshots: tuple[int, ...]

    @field_validator("denoiser", mode="plain")
    @classmethod
    def _check_denoiser(cls, value: Any, info: ValidationInfo) -> Any:
        return fields.one_of(fields.context(info)["denoisers"])(value)

    @field_validator("teacher", mode="plain")
    @classmethod
    def _check_teacher(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.data.get("denoiser")
        others = [name for name in fields.context(info)["denoisers"] if name != own]
        return None if value is None else fields.one_of(others)(value)

    @field_validator("snapshots", mode="before")
    @classmethod
    def _check_snapshots(cls, value: Any, info: ValidationInfo) -> Any:
        return fields.wholes(1, info.data.get("steps", 1))(value)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.batch_size % (world := distributed.world_size()):
            raise fields.refusal("batch_size", f"choose a multiple of the {world} processes")
        if self.grow and self.init in (None, "random"):
            raise fields.refusal("grow", "give the smaller network's weights by train.init")
        return self
