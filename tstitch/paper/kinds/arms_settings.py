"""The section of a comparison of arms: what each runs, and which of them are students."""

from typing import Annotated, Any, Self

from pydantic import ValidationInfo, field_validator, model_validator

from tstitch.config import fields
from tstitch.paper.figure.settings import RESERVED

OWN = tuple(name for name in RESERVED if name.startswith("run."))  # the figure's to decide
WORDS = fields.words("sampler.steps=4")


class ArmSettings(fields.Settings):
    """One arm: a run, or one of each student that is trained for it."""

    arm: fields.Text  # its name
    run: Annotated[tuple[str, ...], WORDS]  # of scripts/sample.py
    student: Annotated[tuple[str, ...], WORDS] | None = None  # of scripts/distil.py
    denoiser: fields.Text = "student"  # of the pair, that a student takes the place of
    seeds: Annotated[tuple[int, ...], fields.EACH_ONCE, fields.wholes(0)] = (0,)
    series: fields.Text | None = None  # arms that a line of the picture joins

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        for word in self.run:
            if word.partition("=")[0].lstrip("+~") in OWN:
                raise fields.refusal("run", f"{word} is for the figure to decide; leave it out")
        if self.student is None and len(self.seeds) > 1:
            raise fields.refusal("seeds", "are of trainings; give student, or one seed")
        if not self.seeds:
            raise fields.refusal("seeds", "give at least one")
        return self


class ArmTiming(fields.Settings):
    """Times of all arms, in rounds in which they take turns."""

    batch_size: fields.Count  # of the load; the latency is that of one image
    rounds: fields.Count


def _looked_at(value: Any, info: ValidationInfo) -> int:
    return min(fields.whole(2)(value), fields.context(info)["images"] or value)


class FeatureSettings(fields.Settings):
    """How alike what a U-Net's encoder and decoder compute is from step to step of an arm."""

    arm: fields.Text
    images: Annotated[int, fields.whole(2)]

    @field_validator("images", mode="plain")
    @classmethod
    def _check_images(cls, value: Any, info: ValidationInfo) -> int:
        return _looked_at(value, info)
