"""Sections of the configuration as pydantic models, and the one place that words their errors.

A section is a subclass of Settings. Its fields are of the types below, which say in the words of
the message what they take; a field that must fit others has a validator that raises ValueError
with the remedy alone. Full name and value of the field are put before it here.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from tstitch.runtime.errors import UserError

MAX_SEED = 2**63 - 1
FIELD = "{field}"  # in a remedy: the full name of the field
NOT_SHOWN = "not_shown"  # type of errors whose message has no value


class Settings(BaseModel):
    """A checked section; every field is given, unless the class has a default for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    path: ClassVar[str] = ""  # dotted name of the section; empty = the whole configuration
    computed: ClassVar[tuple[str, ...]] = ()  # fields that no configuration may give

    @classmethod
    def parse(
        cls, config: Any, path: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Self:
        """Checks a section.

        Args:
            config: mapping of plain values.
            path: its dotted name, where it is not the class's own.
            context: what validators need to know besides; `path` is added.

        Raises:
            UserError: the first bad field: its full name, its value and what is allowed.
        """
        path = cls.path if path is None else path
        try:
            return cls.model_validate(config, context={"path": path, **(context or {})})
        except ValidationError as error:
            raise _user_error(error, config, path) from error

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Any) -> Any:
        known = [name for name in cls.model_fields if name not in cls.computed]
        if not isinstance(values, Mapping):
            raise ValueError(f"expected a section with {', '.join(known)}")
        for name in values:
            if name not in known:
                remedy = f"unknown key; choose one of {', '.join(known)}"
                raise refusal(str(name), remedy, show=False)
        return values


def context(info: ValidationInfo) -> Any:
    """What `Settings.parse` was told besides, in a validator."""
    return info.context


def check_sections(config: Any, names: Sequence[str]) -> None:
    """Raises UserError for a whole configuration with other sections, or without one of these."""
    fields: dict[str, Any] = dict.fromkeys(names, (Any, ...))
    create_model("Configuration", __base__=Settings, **fields).parse(config)


def refusal(field: str | None, remedy: str, *, show: bool = True) -> ValidationError:
    """What a validator of a whole section raises about one of its fields.

    Args:
        field: dotted where it is of a section within; None = the validator's own.
        show: the value; a long one is left out.
    """
    place = () if field is None else tuple(field.split("."))
    reason = {"error": ValueError(remedy)}
    kind = PydanticCustomError("shown" if show else NOT_SHOWN, "{error}", reason)
    details = InitErrorDetails(type=kind, loc=place, input=None)
    return ValidationError.from_exception_data("section", [details])


def _user_error(error: ValidationError, config: Any, path: str) -> UserError:
    """One line for the first error; what is missing comes first."""
    first = min(error.errors(), key=lambda entry: entry["type"] != "missing")
    reason = first.get("ctx", {}).get("error")
    if isinstance(reason, UserError):  # of a section within, a whole line already
        return reason
    name = ".".join(map(str, [path, *first["loc"]] if path else first["loc"]))
    if first["type"] == "missing":
        return UserError(f"{name}: missing; give it a value")
    remedy = " ".join(str(reason or first["msg"]).replace(FIELD, name).split())
    if first["type"] == NOT_SHOWN:
        return UserError(f"{name}: {remedy}")
    try:  # the value as it was given, whatever validators made of it
        value = reduce(getitem, first["loc"], config)
    except (LookupError, TypeError):  # a default
        return UserError(f"{name}: {remedy}")
    return UserError(f"{name}={value!r}: {remedy}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Refuses values that are not good, with a remedy: annotates a field's type, or is called."""

    is_good: Callable[[Any], object]
    remedy: str

    def __call__(self, value: Any) -> Any:
        if not self.is_good(value):
            raise ValueError(self.remedy)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return no_info_before_validator_function(self, handler(source))


def whole(low: int, high: int | None = None) -> Rule:
    """A whole number in low..high."""
    span = _span(low, high)
    return Rule(lambda v: is_whole(v) and _inside(v, low, high), f"choose a whole number {span}")


def number(low: float, high: float | None = None) -> Rule:
    """A finite number in low..high."""
    span = _span(low, high)
    return Rule(lambda v: is_number(v) and _inside(v, low, high), f"choose a number {span}")


def wholes(low: int, high: int | None = None) -> Rule:
    """A list of whole numbers in low..high."""
    remedy = f"give a list of whole numbers {_span(low, high)}"
    return Rule(list_of(whole(low, high).is_good), remedy)


def numbers(low: float, high: float | None = None) -> Rule:
    """A list of finite numbers in low..high."""
    return Rule(list_of(number(low, high).is_good), f"give a list of numbers {_span(low, high)}")


def one_of(options: Sequence[str]) -> Rule:
    """One of these words."""
    return Rule(lambda v: v in options, f"choose one of {', '.join(options)}")


def names(options: Sequence[str] | None = None) -> Rule:
    """A list of words, out of the options if there are any."""
    if options is None:
        return Rule(list_of(is_a(str)), "give a list of names")
    return Rule(
        list_of(one_of(options).is_good), f"give a list of names out of {', '.join(options)}"
    )


def or_auto(rule: Rule) -> BeforeValidator:
    """None for `auto`; the rule for all else."""
    return BeforeValidator(lambda value: None if value == "auto" else rule(value))


def words(example: str) -> Rule:
    """A list of overrides of a command line."""
    remedy = f"give quoted overrides, \"{FIELD}=['{example}']\""
    return Rule(list_of(is_a(str)), remedy)


def list_of(is_good: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Whether a value of the configuration is a list of such values, maybe an empty one."""
    return lambda value: is_list(value) and all(map(is_good, value))


def is_number(value: Any) -> bool:
    """Whether a value of the configuration is a number that a float can hold, and is finite."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and abs(value) <= sys.float_info.max


def is_a(kind: type) -> Callable[[Any], bool]:
    """Whether a value of the configuration is of a type."""
    return lambda value: isinstance(value, kind)


def is_list(value: Any) -> bool:
    """Whether a value of the configuration is a list."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_whole(value: Any) -> bool:
    """Whether a value of the configuration is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _inside(value: float, low: float, high: float | None) -> bool:
    return value >= low and (high is None or value <= high)


def _span(low: float, high: float | None) -> str:
    return f"of at least {low}" if high is None else f"from {low} to {high}"


def text(value: Any) -> str:
    """The value, a text that is not empty; else ValueError."""
    if not isinstance(value, str) or not value:
        quoted = f"; what looks like a number in quotes, '{FIELD}=\"1.5\"'"
        hint = quoted if isinstance(value, bool | int | float) else ""
        raise ValueError(f"give a non-empty text{hint}")
    return value


def _path(value: Any) -> str:
    value = str(value) if is_whole(value) else text(value)
    # Surrogates stand for names in another encoding, which no file of ours could mention.
    if len(value.splitlines()) > 1 or re.search("[\0\ud800-\udfff]", value):
        raise ValueError("give a path of one line in UTF-8")
    return os.path.expanduser(value)


Flag = Annotated[bool, Rule(is_a(bool), "choose true or false")]
Count = Annotated[int, whole(1)]
Seed = Annotated[int, whole(0, MAX_SEED)]
NotNegative = Annotated[float, number(0)]
Share = Annotated[float, number(0, 1)]
TEXT = BeforeValidator(text)
Text = Annotated[str, TEXT]
# Whatever the file system takes, as run.dir=2024; `~/` at its beginning is the home directory.
PathText = Annotated[str, BeforeValidator(_path)]
EACH_ONCE = Rule(
    lambda values: values and len(set(values)) == len(values),
    "give at least one value, and each once",
)
