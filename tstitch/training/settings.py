"""The checked `train` section of the configuration."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ValidationInfo, field_validator

from samplers import NUM_TIMESTEPS
from tstitch.device import Device
from tstitch.validation import (
    Count,
    Flag,
    NotNegative,
    PathText,
    Rule,
    Seed,
    Settings,
    Share,
    Text,
    number,
    one_of,
    whole,
    wholes,
)

NumSteps = Annotated[int, whole(0)]
A_SPAN = Rule(
    lambda span: len(span) == 2 and span[0] < span[1],
    f"give [first,end] with 0 <= first < end <= {NUM_TIMESTEPS}",
)
# Drawn uniformly from the first up to below the second.
Timesteps = Annotated[tuple[int, int], A_SPAN, wholes(0, NUM_TIMESTEPS)]


class TrainSettings(Settings):
    """How to train one denoiser of a pair; the fields are described in configs/train.yaml."""

    path = "train"

    denoiser: str
    dir: PathText
    init: Text | None
    grow: Flag
    steps: Count
    batch_size: Count
    learning_rate: NotNegative
    warmup_steps: NumSteps
    decay_steps: int
    weight_decay: NotNegative
    grad_clip: NotNegative
    ema_decay: Share
    label_dropout: Share
    timesteps: Timesteps
    focus: Timesteps  # the same, for a share of the draws
    focus_share: Share
    noise_weight_limit: Annotated[float, number(1)]
    teacher: str | None
    dtype: Annotated[str, one_of(("fp32", "bf16"))]
    compile: Flag
    seed: Seed
    device: Device
    workers: NumSteps
    latents: Annotated[str, one_of(("encode", "cache"))]
    flip: Flag
    checkpoint_every: Count
    log_every: Count
    sample_every: NumSteps
    snapshots: tuple[int, ...]

    @field_validator("denoiser", mode="plain")
    @classmethod
    def _check_denoiser(cls, value: Any, info: ValidationInfo) -> Any:
        return one_of(info.context["denoisers"])(value)

    @field_validator("teacher", mode="plain")
    @classmethod
    def _check_teacher(cls, value: Any, info: ValidationInfo) -> Any:
        own = info.data.get("denoiser")
        others = [name for name in info.context["denoisers"] if name != own]
        return None if value is None else one_of(others)(value)

    @field_validator("grow")
    @classmethod
    def _check_grow(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("init") in (None, "random"):
            raise ValueError("give the smaller network's weights by train.init")
        return value

    @field_validator("batch_size")
    @classmethod
    def _divide_among_processes(cls, value: int, info: ValidationInfo) -> int:
        if value % info.context["world_size"]:
            raise ValueError(f"choose a multiple of the {info.context['world_size']} processes")
        return value

    @field_validator("decay_steps", mode="before")
    @classmethod
    def _check_decay_steps(cls, value: Any, info: ValidationInfo) -> Any:
        steps = info.data.get("steps", 1)
        return steps // 5 if value is None else whole(0, steps)(value)

    @field_validator("snapshots", mode="before")
    @classmethod
    def _check_snapshots(cls, value: Any, info: ValidationInfo) -> Any:
        return wholes(1, info.data.get("steps", 1))(value)

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, then linear decay to zero over the last decay_steps."""
        up = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        down = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return self.learning_rate * min(up, down)


def parse_train(config: Any, denoisers: Sequence[str], world_size: int) -> TrainSettings:
    """Checks the `train` section.

    Raises:
        UserError: a bad field.
    """
    context = {"denoisers": denoisers, "world_size": world_size}
    return TrainSettings.parse(config, context=context)
