"""The checked `run` and `guidance` sections of the configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import ValidationInfo, field_validator

from tstitch.config import fields
from tstitch.runtime.device import DEVICES, DTYPES

LABELS = ("balanced", "random")
EXPORTS = ("png", "mp4")
# What a scale counts from: uncond + s (cond - uncond), as DiT's code has it, or cond +
# s (cond - uncond), as U-ViT's and Eq. 4 of the T-Stitch paper do: the former of s + 1.
FORMULAS = {"uncond": 0, "cond": 1}
Device = Annotated[str, fields.one_of(DEVICES)]


class RunSettings(fields.Settings):
    """How many images, of which classes, where to; described in configs/sample.yaml.

    Validated with the `num_classes` of the pair.
    """

    path = "run"

    root: fields.PathText
    dir: fields.PathText | None
    num_images: fields.Count
    batch_size: fields.Count
    seed: fields.Seed
    classes: str | tuple[int, ...]
    device: Device
    dtype: Annotated[str, fields.one_of(("auto", *DTYPES))]
    overwrite: fields.Flag
    keep_shards: fields.Flag
    export: Annotated[str, fields.one_of(EXPORTS)] | None

    @field_validator("classes", mode="plain")
    @classmethod
    def _check_classes(cls, value: Any, info: ValidationInfo) -> str | tuple[int, ...]:
        if isinstance(value, str):
            return fields.one_of(LABELS)(value)
        if not isinstance(value, list) or not value:
            raise ValueError("choose balanced, random or a list of class indices")
        return tuple(fields.wholes(0, fields.context(info)["num_classes"] - 1)(value))


class GuidanceSection(fields.Settings):
    """The section as it is written; described in configs/guidance/cfg.yaml."""

    path = "guidance"

    scale: fields.NotNegative | None = None  # of every denoiser
    channels: fields.Count | None = None
    formula: Annotated[str, fields.one_of(tuple(FORMULAS))] | None = None  # that scales are of

    def over(self, default: "GuidanceSettings") -> "GuidanceSettings":
        """With what `default` has in place of null; its scales, too, are read by the formula."""
        read = default.read_by(self.formula or default.formula)
        return replace(
            read,
            scale=read.scale if self.scale is None else read.counted(self.scale),
            channels=self.channels or default.channels,
            scales=read.scales if self.scale is None else {},
        )


class AutoguidanceSection(fields.Settings):
    """The section as it is written; described in configs/guidance/auto.yaml.

    Validated with the `denoisers` of the pair, their names, small to large.
    """

    path = "guidance"

    guide: str | None
    scale: fields.NotNegative
    channels: fields.Count | None

    @field_validator("guide", mode="plain")
    @classmethod
    def _check_guide(cls, value: Any, info: ValidationInfo) -> str:
        smaller = fields.context(info)["denoisers"][:-1]
        if not smaller:
            raise ValueError("a pair of one denoiser has no other to guide it; set guidance=cfg")
        if value is not None and value not in smaller:
            raise ValueError(
                f"choose one of {', '.join(smaller)}, which larger denoisers follow in the pair"
            )
        return smaller[0] if value is None else value


def parse_guidance(
    section: Any, default: "GuidanceSettings", denoisers: Sequence[str]
) -> "GuidanceSettings":
    """The checked `guidance` section; it is autoguidance's if it has a `guide`.

    Args:
        default: of the pair, in place of null.
        denoisers: names of the pair's, small to large.

    Raises:
        UserError: a bad field.
    """
    if isinstance(section, Mapping) and "guide" in section:
        auto = AutoguidanceSection.parse(section, context={"denoisers": denoisers})
        return GuidanceSettings(auto.scale, auto.channels or default.channels, guide=auto.guide)
    return GuidanceSection.parse(section).over(default)


@dataclass(frozen=True, slots=True)
class GuidanceSettings:
    """Classifier-free guidance, see models.guidance.GuidedDenoiser, or samplers.Autoguidance."""

    scale: float
    channels: int
    scales: Mapping[str, float] = field(default_factory=dict)  # of denoisers with one of their own
    formula: str = "uncond"  # by which scales of the configuration are read
    guide: str | None = None  # the denoiser of autoguidance; None = classifier-free guidance

    def counted(self, written: float) -> float:
        """The scale that a number of the configuration stands for."""
        return _moved(written, FORMULAS[self.formula])

    def read_by(self, formula: str) -> "GuidanceSettings":
        """The same numbers of the configuration, read by a formula."""
        by = FORMULAS[formula] - FORMULAS[self.formula]
        own = {name: _moved(scale, by) for name, scale in self.scales.items()}
        return replace(self, scale=_moved(self.scale, by), scales=own, formula=formula)

    def scale_of(self, name: str) -> float:
        """The scale of a denoiser's classifier-free guidance; 1 = none."""
        return 1.0 if self.guide else self.scales.get(name, self.scale)

    def guides(self, denoisers: Sequence[str]) -> dict[str, str]:
        """The guide of each denoiser that autoguidance has another one evaluated for.

        Args:
            denoisers: names, small to large.
        """
        if self.guide is None or self.scale == 1:
            return {}
        return dict.fromkeys(denoisers[denoisers.index(self.guide) + 1 :], self.guide)

    def describe(self) -> dict[str, Any]:
        """For reports, and for what decides the images."""
        own: dict[str, Any] = {"scales": dict(self.scales)} if self.scales else {}
        guide = {"guide": self.guide} if self.guide else {}
        return {"scale": self.scale, "channels": self.channels} | own | guide

    def evaluations(self, name: str) -> int:
        """A denoiser's own evaluations in one step: classifier-free guidance doubles them."""
        return 1 if self.scale_of(name) == 1 else 2


def _moved(scale: float, by: int) -> float:
    return round(scale + by, 12) if by else scale  # 1.4, not 1.4000000000000001
