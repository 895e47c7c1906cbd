"""A figure out of its configuration."""

import re
from collections.abc import Mapping
from typing import Any

from tstitch.errors import UserError
from tstitch.paper.figure.base import Figure, Given
from tstitch.paper.figure.curves import parse_curves
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds import KINDS
from tstitch.section import Section

HEAD = ("name", "kind", "title", "claims", "members", "picture")
NAME = re.compile(r"[\w-]+")


def parse_figure(config: Any, settings: Reproduction) -> Figure:
    """Checks the section `paper` at the scale of the settings.

    Raises:
        UserError: a bad field.
    """
    scale = settings.scale
    if not isinstance(config, Mapping) or scale.name not in config:
        raise UserError(f"scale={scale.name}: the figure has no section of that name; add one")
    scales = [name for name, value in config.items() if isinstance(value, Mapping)]
    fields = tuple(dict.fromkeys((*HEAD, scale.name, "full", *scales)))
    defaults = {"claims": [], "members": [], "picture": True, "full": None}
    head, path = Section(config, "paper", fields, defaults), f"paper.{scale.name}"
    kind = KINDS[head.choice("kind", tuple(KINDS))]
    section = kind.section(config[scale.name], path)
    if not NAME.fullmatch(head.text("name")):
        raise head.refuse("name", "use only letters, digits, _ and -")
    curves = parse_curves(
        section, path, scale.images, settings.images, settings.checkpoints, needed=kind.needs_curves
    )
    common: dict[str, Any] = {
        "name": head.text("name"),
        "title": head.text("title"),
        "claims": head.texts("claims"),
        "members": kind.parse_members(head),
        "picture": head.flag("picture"),
        "minutes": None if section.raw("minutes") is None else section.number("minutes", 0),
        "about": section.text("about"),
        "curves": curves,
    }
    return kind(**common | kind.parse_own(Given(head, section, path, curves, settings)))
