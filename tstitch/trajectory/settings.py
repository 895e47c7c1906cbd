"""The checked `trajectory` section of the configuration."""

from typing import Annotated

from pydantic import BeforeValidator

from tstitch.config import fields

MOST_IMAGES = 16  # rows of a sheet for each fraction


class TrajectorySettings(fields.Settings):
    """What is drawn, and where; described in configs/trajectory.yaml."""

    path = "trajectory"

    dir: fields.PathText
    images: Annotated[int, fields.whole(1, MOST_IMAGES)]
    fractions: Annotated[tuple[float, ...], fields.EACH_ONCE, BeforeValidator(fields.numbers(0, 1))]
    columns: Annotated[int, fields.whole(2, 100)]
    frame_ms: Annotated[int, fields.whole(20, 10_000)]
