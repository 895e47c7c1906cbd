"""How long to train, and the learning rate of every step."""

from typing import Annotated, Any, ClassVar

from pydantic import ValidationInfo, field_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields

NumSteps = Annotated[int, fields.whole(0)]
A_SPAN = fields.Rule(
    lambda span: len(span) == 2 and span[0] < span[1],
    f"give [first,end] with 0 <= first < end <= {NUM_TIMESTEPS}",
)
# Drawn uniformly from the first up to below the second.
Timesteps = Annotated[tuple[int, int], A_SPAN, fields.wholes(0, NUM_TIMESTEPS)]


class RateSettings(fields.Settings):
    """Steps and learning rate; `decay_steps` null is one step in `decays_by`."""

    decays_by: ClassVar[int]

    steps: fields.Count
    batch_size: fields.Count
    learning_rate: fields.NotNegative
    warmup_steps: NumSteps
    decay_steps: int
    weight_decay: fields.NotNegative
    grad_clip: fields.NotNegative
    ema_decay: fields.Share
    seed: fields.Seed

    @field_validator("decay_steps", mode="before")
    @classmethod
    def _check_decay_steps(cls, value: Any, info: ValidationInfo) -> Any:
        steps = info.data.get("steps", 1)
        return steps // cls.decays_by if value is None else fields.whole(0, steps)(value)

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, then linear decay to zero over the last decay_steps."""
        return self.learning_rate * self.share_at(step)

    def share_at(self, step: int) -> float:
        """The same as a part of learning_rate, in 0..1."""
        up = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        down = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return min(up, down)


class DrawSettings(fields.Settings):
    """How timesteps and conditions are drawn, and how an error at each of them weighs."""

    label_dropout: fields.Share
    timesteps: Timesteps
    focus: Timesteps  # the same, for a share of the draws
    focus_share: fields.Share
    noise_weight_limit: Annotated[float, fields.number(1)]
