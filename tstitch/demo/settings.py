"""The checked `demo` section of the configuration."""

from typing import Annotated

from pydantic import BeforeValidator

from tstitch.config import fields

MOST_IMAGES = 8  # rows of the page
PORTS = Annotated[int, fields.whole(0, 65535)]


class DemoSettings(fields.Settings):
    """Where the page is, and what it begins with; described in configs/demo.yaml."""

    path = "demo"

    port: PORTS
    browser: fields.Flag
    images: Annotated[int, fields.whole(1, MOST_IMAGES)]
    fractions: Annotated[
        tuple[float, ...],
        fields.EACH_ONCE,
        BeforeValidator(fields.numbers(0, 1)),
    ]
