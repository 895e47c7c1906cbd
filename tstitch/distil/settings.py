"""The checked `distil` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import model_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields
from tstitch.config.settings import Device
from tstitch.distil.plan import ARMS, FREE
from tstitch.runtime import distributed
from tstitch.training.rate import NumSteps, RateSettings, Timesteps

LORA, FULL = "lora", "full"
MEAN, SUM = "mean", "sum"
DTYPES = ("fp16", "bf16")  # of the weights of a student's folder


class KlSettings(fields.Settings):
    """The term that holds every decoder's noise at mean 0 and variance 1."""

    weight: fields.NotNegative
    form: Annotated[str, fields.one_of((MEAN, SUM))]


class FakeSettings(fields.Settings):
    """The network that learns the score of what the student makes."""

    kind: Annotated[str, fields.one_of((LORA, FULL))]
    rank: fields.Count
    alpha: fields.Count
    learning_rate: fields.NotNegative
    per_step: fields.Count
    timesteps: Timesteps
    null_share: fields.Share


class PreviewSettings(fields.Settings):
    """Images of the student below those of the teacher, from the same noise."""

    images: NumSteps
    every: NumSteps
    steps: Annotated[int, fields.whole(2, NUM_TIMESTEPS)]


class DistilSettings(RateSettings):
    """How to train a student; the fields are described in configs/distil.yaml."""

    path = "distil"
    decays_by = 5

    dir: fields.PathText
    teacher: fields.Text
    captions: fields.PathText | None
    arm: Annotated[str, fields.one_of(ARMS)]
    timesteps: Annotated[tuple[int, ...], fields.wholes(0, NUM_TIMESTEPS - 1)] | None
    clean: fields.Flag | None
    guidance: Annotated[float, fields.number(1)]
    score_timesteps: Timesteps
    kl: KlSettings
    fake: FakeSettings
    minutes: Annotated[float, fields.number(0)] | None
    device: Device
    dtype: Annotated[str, fields.one_of(("fp32", "bf16"))]
    save_dtype: Annotated[str, fields.one_of(DTYPES)]
    checkpoint_every: fields.Count
    log_every: fields.Count
    preview: PreviewSettings

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.batch_size % (world := distributed.world_size()):
            raise fields.refusal("batch_size", f"choose a multiple of the {world} processes")
        for name in ("timesteps", "clean"):
            if (getattr(self, name) is None) == (self.arm == FREE):
                remedy = "give it" if self.arm == FREE else "give null"
                raise fields.refusal(name, f"{remedy}, as distil.arm={self.arm} needs")
        return self

    def stream(self) -> dict[str, Any]:
        """What a checkpoint must agree with: all that decides the steps made so far."""
        names = ("arm", "guidance", "batch_size", "seed", "weight_decay")
        own: dict[str, Any] = {name: getattr(self, name) for name in names}
        own |= {name: _plain(getattr(self, name)) for name in ("timesteps", "score_timesteps")}
        own |= {"clean": self.clean}
        for section in ("kl", "fake"):
            values = getattr(self, section).model_dump()
            own |= {f"{section}.{name}": _plain(value) for name, value in values.items()}
        own.pop("fake.learning_rate")  # as learning_rate, it may change on the way
        return own


def _plain(value: Any) -> Any:
    """As a checkpoint has it: lists for tuples."""
    return list(value) if isinstance(value, tuple) else value
