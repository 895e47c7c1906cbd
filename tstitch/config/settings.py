"""The checked `run` and `guidance` sections of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tstitch.config.section import Section
from tstitch.runtime.device import DEVICES, DTYPES

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
    scales: Mapping[str, float] = field(default_factory=dict)  # of denoisers with one of their own

    def scale_of(self, name: str) -> float:
        """The scale of a denoiser."""
        return self.scales.get(name, self.scale)

    def describe(self) -> dict[str, Any]:
        """For reports, and for what decides the images."""
        own = {"scales": dict(self.scales)} if self.scales else {}
        return {"scale": self.scale, "channels": self.channels} | own

    def evaluations(self, name: str) -> int:
        """Network evaluations of a denoiser in one step: guidance doubles them."""
        return 1 if self.scale_of(name) == 1 else 2


def parse_guidance(config: Any, default: GuidanceSettings, path: str) -> GuidanceSettings:
    """Checks a section of scale and channels; null = as in `default`.

    Args:
        path: of the section; a scale given in it is every denoiser's.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, path, ("scale", "channels"), {"scale": None, "channels": None})
    scale, channels, scales = default.scale, default.channels, default.scales
    if section.raw("scale") is not None:
        scale, scales = section.number("scale", 0.0), {}
    if section.raw("channels") is not None:
        channels = section.integer("channels", 1)
    return GuidanceSettings(scale, channels, scales)


def parse_run(config: Any, num_classes: int) -> RunSettings:
    """Checks the `run` section.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "run", [f.name for f in fields(RunSettings)])
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
