"""The checked `train` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import ValidationInfo, field_validator, model_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields
from tstitch.config.settings import Device
from tstitch.runtime import distributed

NumSteps = Annotated[int, fields.whole(0)]
A_SPAN = fields.Rule(
    lambda span: len(span) == 2 and span[0] < span[1],
    f"give [first,end] with 0 <= first < end <= {NUM_TIMESTEPS}",
)
# Drawn uniformly from the first up to below the second.
Timesteps = Annotated[tuple[int, int], A_SPAN, fields.wholes(0, NUM_TIMESTEPS)]


class TrainSettings(fields.Settings):
    """How to train one denoiser of a pair; the fields are described in configs/train.yaml.

    Validated with the names of the pair's `denoisers`.
    """

    path = "train"

    denoiser: str
    dir: fields.PathText
    init: fields.Text | None
    grow: fields.Flag
    steps: fields.Count
    batch_size: fields.Count
    learning_rate: fields.NotNegative
    warmup_steps: NumSteps
    decay_steps: int
    weight_decay: fields.NotNegative
    grad_clip: fields.NotNegative
    ema_decay: fields.Share
    label_dropout: fields.Share
    timesteps: Timesteps
    focus: Timesteps  # the same, for a share of the draws
    focus_share: fields.Share
    noise_weight_limit: Annotated[float, fields.number(1)]
    teacher: str | None
    dtype: Annotated[str, fields.one_of(("fp32", "bf16"))]
    compile: fields.Flag
    seed: fields.Seed
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

    @field_validator("decay_steps", mode="before")
    @classmethod
    def _check_decay_steps(cls, value: Any, info: ValidationInfo) -> Any:
        steps = info.data.get("steps", 1)
        return steps // 5 if value is None else fields.whole(0, steps)(value)

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

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, then linear decay to zero over the last decay_steps."""
        up = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        down = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return self.learning_rate * min(up, down)
