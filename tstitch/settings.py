"""The checked `run` and `guidance` sections of the configuration."""

from dataclasses import dataclass, fields
from typing import Any

from tstitch.device import DEVICES, DTYPES
from tstitch.section import Section

MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How many images, of which classes, where to; described in configs/sample.yaml."""

    root: str
    dir: str | None
    num_images: int
    batch_size: int
    seed: int
    classes: str | tuple[int, ...]
    device: str
    dtype: str
    overwrite: bool
    keep_shards: bool
    export: str | None


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """Classifier-free guidance; see models.guidance.GuidedDenoiser."""

    scale: float
    channels: int


def parse_guidance(config: Any) -> GuidanceSettings:
    """Checks the `guidance` section.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "guidance", [field.name for field in fields(GuidanceSettings)])
    return GuidanceSettings(section.number("scale", 0.0), section.integer("channels", 1))


def parse_run(config: Any, num_classes: int) -> RunSettings:
    """Checks the `run` section.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "run", [field.name for field in fields(RunSettings)])
    classes = section.raw("classes")
    if isinstance(classes, str):
        section.choice("classes", ("balanced", "random"))
    elif not isinstance(classes, list) or not classes:
        raise section.refuse("classes", "choose balanced, random or a list of class indices")
    else:
        classes = section.integers("classes", 0, num_classes - 1)
    return RunSettings(
        root=section.path("root"),
        dir=None if section.raw("dir") is None else section.path("dir"),
        num_images=section.integer("num_images", 1),
        batch_size=section.integer("batch_size", 1),
        seed=section.integer("seed", 0, MAX_SEED),
        classes=classes,
        device=section.choice("device", DEVICES),
        dtype=section.choice("dtype", ("auto", *DTYPES)),
        overwrite=section.flag("overwrite"),
        keep_shards=section.flag("keep_shards"),
        export=None if section.raw("export") is None else section.choice("export", ("png",)),
    )
