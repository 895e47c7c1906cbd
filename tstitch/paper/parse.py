"""A figure out of its configuration."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from tstitch.config import fields
from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds import KINDS
from tstitch.runtime.errors import UserError

A_NAME = fields.Rule(re.compile(r"[\w-]+").fullmatch, "use only letters, digits, _ and -")
Names = Annotated[tuple[str, ...], fields.names()]


class Head(fields.Settings):
    """What a figure has besides its section for each scale."""

    path = "paper"

    name: Annotated[str, A_NAME, fields.TEXT]
    kind: str
    title: fields.Text
    claims: Names = ()
    members: Names = Field((), validate_default=True)  # other figures that it gathers
    picture: fields.Flag = True  # whether to draw one

    @field_validator("kind", mode="plain")
    @classmethod
    def _check_kind(cls, value: Any) -> Any:
        return fields.one_of(tuple(KINDS))(value)

    @field_validator("members")
    @classmethod
    def _check_members(cls, members: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "kind" in info.data:
            KINDS[info.data["kind"]].check_members(members)
        return members


def parse_figure(config: Any, settings: Reproduction) -> Figure:
    """Checks the section `paper` at the scale of the settings.

    Raises:
        UserError: a bad field.
    """
    scale = settings.scale
    if not isinstance(config, Mapping) or scale.name not in config:
        raise UserError(f"scale={scale.name}: the figure has no section of that name; add one")
    scales = {scale.name, "full", *(n for n, v in config.items() if isinstance(v, Mapping))}
    scales -= Head.model_fields.keys()
    head = Head.parse({name: value for name, value in config.items() if name not in scales})
    kind = KINDS[head.kind]
    context = {"default_images": scale.images, "checkpoints": settings.checkpoints}
    images = {"images": None if kind.fixed_images else settings.images}
    figure = kind.parse(config[scale.name], f"paper.{scale.name}", context | images)
    update = {name: getattr(head, name) for name in kind.computed if name in Head.model_fields}
    if kind.shows_paper and config.get("full") is not None:  # checked at any scale
        context |= {"checkpoints": {}, "images": None}
        full = kind.parse(config["full"], "paper.full", context)
        update["published"] = tuple(curve for curve in full.curves if curve.paper_values)
    return figure.model_copy(update=update).adapted()
