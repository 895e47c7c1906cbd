"""The `pair` section as it is written, checked; nothing is loaded."""

import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from models.condition import read_prompts
from samplers import MATCHES, PREDICTIONS, Process
from tstitch.config import fields
from tstitch.config.cli import instantiate, not_a
from tstitch.config.settings import GuidanceSection

ORDERS = ("small_to_large", "as_listed")


def _build(config: Any, info: ValidationInfo, kind: str, is_good: Callable[[Any], bool]) -> Any:
    path = f"{fields.context(info)['path']}.{info.field_name}"
    built = instantiate(config, path)
    if not is_good(built):
        raise not_a(config, path, kind)
    return built


def _space(config: Any, info: ValidationInfo) -> Any:
    return _build(config, info, "space", lambda built: hasattr(built, "decode"))


def _process(config: Any, info: ValidationInfo) -> Any:
    if config is None:
        return fields.context(info)["process"]
    kind = "dataclass of Process"
    return _build(config, info, kind, lambda p: isinstance(p, Process) and is_dataclass(p))


def _class_names(value: Any) -> tuple[str, ...]:
    if value == "imagenet":
        from timm.data import ImageNetInfo

        return tuple(text.split(",")[0] for text in ImageNetInfo().label_descriptions())
    if fields.is_whole(value) and value >= 1:
        return tuple(str(index) for index in range(value))
    if not isinstance(value, list) or not value:
        raise ValueError("give a list of names, their number, or imagenet")
    return tuple(str(name) for name in value)


def _prediction(value: Any) -> str:
    return "" if value is None else fields.one_of(PREDICTIONS)(value)


A_NETWORK = fields.Rule(fields.is_a(Mapping), "needs a section with _target_ and its arguments")
A_DIGEST = fields.Rule(
    lambda v: isinstance(v, str) and len(v) == 64, "give 64 hexadecimal digits, or null"
)
DENOISERS = fields.Rule(
    lambda v: isinstance(v, Mapping) and v, "name at least one denoiser, small to large"
)
NAME = re.compile(r"\w[\w .+-]*")  # of a folder, too
A_NAME = fields.Rule(NAME.fullmatch, "use only letters, digits, spaces and _ . + -")
A_TEXT = fields.Rule(fields.is_a(str), "give a text, or null")
# null, or nothing: as the context says.
ProcessOrNull = Annotated[Process, BeforeValidator(_process)]


class DenoiserSpec(fields.Settings):
    """One denoiser of the configuration; nothing is loaded yet.

    Validated with the `process` of the pair.
    """

    computed = ("name", "identity", "has_null", "splits", "one_pass")

    network: Annotated[Mapping[str, Any], A_NETWORK]  # _target_ and sizes
    weights: fields.Text  # path, URL, gdrive:ID, shipped:PATH, hub:NAME, pretrained or random
    sha256: Annotated[str, A_DIGEST] | None
    process: ProcessOrNull = Field(None, validate_default=True)  # that it was trained on
    prediction: Annotated[str, BeforeValidator(_prediction)] = ""  # empty = the network's
    match: Annotated[str, fields.one_of(MATCHES)] = MATCHES[0]  # of another process than the pair's
    latent_scale: Annotated[float, fields.number(1e-6, 1e6)] = 1.0  # trained on the pair's latents
    latent_shift: Annotated[float, fields.number(-1e6, 1e6)] = 0.0  # times this, and this added
    guidance: fields.NotNegative | None = None  # a scale of its own
    name: str = ""
    identity: Mapping[str, Any] | None = None  # what `network` names; None = its values say it
    has_null: bool = True  # whether it can be guided
    splits: bool = False  # whether its encoder can be run by itself (models.unet_split)
    one_pass: bool = False  # it makes x_0 of pure noise, and knows no other step

    def rescaling(self) -> dict[str, float]:
        """Scale and shift of its latents over the pair's; empty where they are the same."""
        values = {"latent_scale": self.latent_scale, "latent_shift": self.latent_shift}
        return values if (self.latent_scale, self.latent_shift) != (1, 0) else {}


class PairSection(fields.Settings):
    """Denoisers, small to large, their space and conditions; described in configs/pair/.

    Validated with the `process` of pairs that name none.
    """

    path = "pair"

    name: Annotated[str, A_NAME, fields.TEXT]
    classes: Annotated[tuple[str, ...], BeforeValidator(_class_names)] | None = None
    space: Annotated[Any, BeforeValidator(_space)]
    denoisers: Annotated[dict[Any, Any], DENOISERS]
    order: Annotated[str, fields.one_of(ORDERS)] = ORDERS[0]
    evaluation: Any  # for configs/evaluation/pair.yaml
    made_by: Any = None  # for tstitch.maker.parse
    process: ProcessOrNull = Field(None, validate_default=True)
    guidance: GuidanceSection = GuidanceSection()
    prompts: Annotated[tuple[str, ...], BeforeValidator(read_prompts)] | None = None
    negative_prompt: Annotated[str, A_TEXT] | None = None
    text_encoder: Any = None

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        """Classes or prompts."""
        if self.prompts is not None and self.classes is not None:
            raise fields.refusal("classes", "give either classes or prompts, the other one null")
        if self.prompts is None:
            for name in ("negative_prompt", "text_encoder"):
                if getattr(self, name) is not None:
                    remedy = "is for pairs with prompts; give pair.prompts, or null"
                    raise fields.refusal(name, remedy)
            if self.classes is None:
                raise fields.refusal("classes", "give a list of names, their number, or imagenet")
        return self
