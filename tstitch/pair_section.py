"""The `pair` section as it is written, checked; nothing is loaded."""

import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.condition import read_prompts
from samplers import MATCHES, PREDICTIONS, Process
from tstitch.cli import instantiate, not_a
from tstitch.settings import GuidanceSection
from tstitch.validation import (
    NotNegative,
    Rule,
    Settings,
    Text,
    is_section,
    is_text,
    is_whole,
    one_of,
    refusal,
)

ORDERS = ("small_to_large", "as_listed")


def _build(config: Any, info: ValidationInfo, kind: str, is_good: Callable[[Any], bool]) -> Any:
    path = f"{info.context['path']}.{info.field_name}"
    built = instantiate(config, path)
    if not is_good(built):
        raise not_a(config, path, kind)
    return built


def _space(config: Any, info: ValidationInfo) -> Any:
    return _build(config, info, "space", lambda built: hasattr(built, "decode"))


def _process(config: Any, info: ValidationInfo) -> Any:
    if config is None:
        return info.context["process"]
    kind = "dataclass of Process"
    return _build(config, info, kind, lambda p: isinstance(p, Process) and is_dataclass(p))


def _class_names(value: Any) -> tuple[str, ...]:
    if value == "imagenet":
        from timm.data import ImageNetInfo

        return tuple(text.split(",")[0] for text in ImageNetInfo().label_descriptions())
    if is_whole(value) and value >= 1:
        return tuple(str(index) for index in range(value))
    if not isinstance(value, list) or not value:
        raise ValueError("give a list of names, their number, or imagenet")
    return tuple(str(name) for name in value)


A_NETWORK = Rule(is_section, "needs a section with _target_ and its arguments")
A_DIGEST = Rule(lambda v: is_text(v) and len(v) == 64, "give 64 hexadecimal digits, or null")
NAME = re.compile(r"\w[\w .+-]*")  # it names a folder
A_NAME = Rule(NAME.fullmatch, "use only letters, digits, spaces and _ . + -")
SOME_DENOISERS = Rule(lambda v: is_section(v) and v, "name at least one denoiser, small to large")
# null, or nothing: as the context says.
ProcessOrNull = Annotated[Process, BeforeValidator(_process)]


class DenoiserSpec(Settings):
    """One denoiser of the configuration; nothing is loaded yet.

    Validated with the `process` of the pair.
    """

    computed = ("name", "identity", "has_null")

    network: Annotated[Mapping[str, Any], A_NETWORK]  # _target_ and sizes
    weights: Text  # path, URL, gdrive:ID, shipped:PATH, hub:NAME, pretrained or random
    sha256: Annotated[str, A_DIGEST] | None
    process: ProcessOrNull = Field(None, validate_default=True)  # that it was trained on
    prediction: str = Field(None, validate_default=True)
    match: Annotated[str, one_of(MATCHES)] = MATCHES[0]  # where the pair's process is another
    guidance: NotNegative | None = None  # a scale of its own
    name: str = ""
    identity: Mapping[str, Any] | None = None  # what `network` names; None = its values say it
    has_null: bool = True  # whether it can be guided

    @field_validator("prediction", mode="plain")
    @classmethod
    def _check_prediction(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return info.data["process"].prediction if "process" in info.data else None
        return one_of(PREDICTIONS)(value)


class PairSection(Settings):
    """Denoisers, small to large, their space and conditions; described in configs/pair/.

    Validated with the `process` of pairs that name none.
    """

    path = "pair"

    name: Annotated[Text, AfterValidator(A_NAME)]
    classes: Annotated[tuple[str, ...], BeforeValidator(_class_names)] | None = None
    space: Annotated[Any, BeforeValidator(_space)]
    denoisers: Annotated[dict[Any, Any], SOME_DENOISERS]
    order: Annotated[str, one_of(ORDERS)] = ORDERS[0]
    evaluation: Any  # for configs/evaluation/pair.yaml
    process: ProcessOrNull = Field(None, validate_default=True)
    guidance: GuidanceSection = GuidanceSection()
    prompts: Annotated[tuple[str, ...], BeforeValidator(read_prompts)] | None = None
    negative_prompt: Annotated[str, Rule(is_text, "give a text, or null")] | None = None
    text_encoder: Any = None

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        """Classes or prompts."""
        if self.prompts is not None and self.classes is not None:
            raise refusal("classes", "give either classes or prompts, the other one null")
        if self.prompts is None:
            for name in ("negative_prompt", "text_encoder"):
                if getattr(self, name) is not None:
                    raise refusal(name, "is for pairs with prompts; give pair.prompts, or null")
            if self.classes is None:
                raise refusal("classes", "give a list of names, their number, or imagenet")
        return self
