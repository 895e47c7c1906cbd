"""The checked `text` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import ValidationInfo, field_validator, model_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields
from tstitch.config.settings import Device

STAGES = ("encoder", "judge", "vae", "cache", "large", "small", "styled", "pair")
GROUPS = 8  # of the group norms: widths are multiples
NumSteps = Annotated[int, fields.whole(0)]
Widths = Annotated[
    tuple[int, ...],
    fields.Rule(
        lambda widths: len(widths) > 1 and all(width % GROUPS == 0 for width in widths),
        f"give at least two multiples of {GROUPS}",
    ),
    fields.wholes(GROUPS),
]
Timesteps = Annotated[
    tuple[int, int],
    fields.Rule(
        lambda span: len(span) == 2 and span[0] < span[1],
        f"give [first,end] with 0 <= first < end <= {NUM_TIMESTEPS}",
    ),
    fields.wholes(0, NUM_TIMESTEPS),
]


class Schedule(fields.Settings):
    """What all stages that train have; described in configs/train_text.yaml."""

    steps: fields.Count
    minutes: Annotated[float, fields.number(0)] | None
    batch_size: fields.Count
    learning_rate: fields.NotNegative
    warmup_steps: NumSteps
    decay_steps: int
    weight_decay: fields.NotNegative
    grad_clip: fields.NotNegative
    ema_decay: fields.Share
    measure_every: NumSteps
    seed: fields.Seed

    @field_validator("decay_steps", mode="before")
    @classmethod
    def _check_decay_steps(cls, value: Any, info: ValidationInfo) -> Any:
        steps = info.data.get("steps", 1)
        return steps // 3 if value is None else fields.whole(0, steps)(value)

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, then linear decay to zero over the last decay_steps."""
        up = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        down = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return self.learning_rate * min(up, down)


class EncoderSettings(Schedule):
    """A text encoder and an image tower, trained on each other."""

    batch_size: Annotated[int, fields.whole(2)]  # of one pair there is no contrast
    width: fields.Count
    layers: fields.Count
    heads: fields.Count
    embedding: fields.Count
    tower: Widths
    patch: fields.Count
    shift: NumSteps

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.width % self.heads:
            raise fields.refusal("heads", f"choose a divisor of the width {self.width}")
        return self


class AutoencoderSettings(Schedule):
    """The autoencoder."""

    widths: Widths
    layers: fields.Count
    channels: fields.Count
    kl_weight: fields.NotNegative
    edge_weight: fields.NotNegative
    mean_weight: fields.NotNegative


class DrawnSettings(Schedule):
    """How timesteps and captions are drawn."""

    label_dropout: fields.Share
    timesteps: Timesteps
    focus: Timesteps
    focus_share: fields.Share
    noise_weight_limit: Annotated[float, fields.number(1)]


class DenoiserSettings(DrawnSettings):
    """A U-Net."""

    widths: Widths
    layers: fields.Count
    heads: fields.Count
    attention: tuple[bool, ...]

    @field_validator("attention", mode="before")
    @classmethod
    def _check_attention(cls, value: Any, info: ValidationInfo) -> Any:
        levels = len(info.data.get("widths", ()))
        good = fields.list_of(fields.is_a(bool))(value)
        if not good or len(value) != levels or not any(value):
            raise ValueError(f"give true or false for each of the {levels} widths, true for one")
        return value

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if any(width % self.heads for width in self.widths):
            raise fields.refusal("heads", f"choose a divisor of all of {list(self.widths)}")
        return self


class StyledSettings(DrawnSettings):
    """The large U-Net, fine-tuned on one style."""

    style: fields.Text


class TokenSettings(fields.Settings):
    """The tokenizer."""

    merges: NumSteps
    length: Annotated[int, fields.whole(3)]


class PreviewSettings(fields.Settings):
    """Samples of held-out captions beside their images."""

    images: NumSteps
    steps: Annotated[int, fields.whole(2, NUM_TIMESTEPS)]
    guidance: Annotated[float, fields.number(1)]


class TextSettings(fields.Settings):
    """How to make a text-to-image pair; the fields are described in configs/train_text.yaml."""

    path = "text"

    dir: fields.PathText
    stages: Annotated[tuple[str, ...], fields.EACH_ONCE, fields.names(STAGES)]
    init: fields.PathText | None
    device: Device
    dtype: Annotated[str, fields.one_of(("fp32", "bf16"))]
    checkpoint_every: fields.Count
    log_every: fields.Count
    tokens: TokenSettings
    encoder: EncoderSettings
    judge: EncoderSettings
    vae: AutoencoderSettings
    large: DenoiserSettings
    small: DenoiserSettings
    styled: StyledSettings
    preview: PreviewSettings

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.large.widths == self.small.widths and self.large.layers == self.small.layers:
            raise fields.refusal("small.widths", "choose a smaller U-Net than the large one's")
        if self.judge.seed == self.encoder.seed:
            raise fields.refusal("judge.seed", "choose another seed than text.encoder.seed")
        return self
