"""The checked `evaluation` section of the configuration."""

from typing import Annotated, Any

from tstitch.config import fields

MIN_IMAGES = 4  # one more than the neighbours of precision and recall
CHOOSE = "needs a section with _target_; choose evaluation=NAME"


Section = Annotated[dict[str, Any], fields.Rule(fields.is_a(dict), CHOOSE)]


class ClipSettings(fields.Settings):
    """A second network, which alone reads prompts."""

    path = "evaluation.clip"

    extractor: Section
    weights: fields.Text


class EvaluationSettings(fields.Settings):
    """What to measure images with; described in configs/evaluation/inception.yaml.

    The fields with defaults are for images of prompts, which most evaluations do not name.
    """

    path = "evaluation"

    extractor: Section | None
    weights: fields.Text | None
    reference: fields.Text | None
    floor: fields.Text | None
    groups: Annotated[int, fields.whole(2, 1000)]
    batch_size: fields.Count
    clip: ClipSettings | None = None
    captions: Section | None = None
    resize: fields.Count | None = None

    @property
    def enabled(self) -> bool:
        """Whether there is an extractor, and a reference to compare with."""
        return self.extractor is not None and self.reference is not None
