"""The checked `text` section of the configuration."""

from typing import Annotated, Any, Self

from pydantic import ValidationInfo, field_validator, model_validator

from samplers import NUM_TIMESTEPS
from tstitch.config import fields
from tstitch.config.settings import Device
from tstitch.training.rate import DrawSettings, NumSteps, RateSettings

STAGES = (
    "encoder", "judge", "vae", "cache", "large", "small", "styled", "lcm", "lcm_small", "pair",
)  # fmt: skip
GROUPS = 8  # of the group norms: widths are multiples
Widths = Annotated[
    tuple[int, ...],
    fields.Rule(
        lambda widths: len(widths) > 1 and all(width % GROUPS == 0 for width in widths),
        f"give at least two multiples of {GROUPS}",
    ),
    fields.wholes(GROUPS),
]

A_DIVISOR = fields.Rule(lambda n: NUM_TIMESTEPS % n == 0, f"choose a divisor of {NUM_TIMESTEPS}")


class Schedule(RateSettings):
    """What all stages that train have; described in configs/train_text.yaml."""

    decays_by = 3

    minutes: Annotated[float, fields.number(0)] | None
    measure_every: NumSteps


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


class DrawnSettings(DrawSettings, Schedule):
    """What all trainings of U-Nets have."""


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


class ConsistencySettings(Schedule):
    """A U-Net, distilled to a few steps."""

    guidance: fields.NotNegative
    ddim_steps: Annotated[int, A_DIVISOR, fields.whole(1, NUM_TIMESTEPS)]


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
    lcm: ConsistencySettings
    lcm_small: ConsistencySettings
    preview: PreviewSettings

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.large.widths == self.small.widths and self.large.layers == self.small.layers:
            raise fields.refusal("small.widths", "choose a smaller U-Net than the large one's")
        if self.judge.seed == self.encoder.seed:
            raise fields.refusal("judge.seed", "choose another seed than text.encoder.seed")
        return self
