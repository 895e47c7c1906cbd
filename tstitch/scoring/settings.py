"""The checked `evaluation` section of the configuration."""

from typing import Annotated, Any

from tstitch.config import fields

MIN_IMAGES = 4  # one more than the neighbours of precision and recall
CHOOSE = "needs a section with _target_; choose evaluation=NAME"


class EvaluationSettings(fields.Settings):
    """What to measure images with; described in configs/evaluation/inception.yaml."""

    path = "evaluation"

    extractor: Annotated[dict[str, Any], fields.Rule(fields.is_a(dict), CHOOSE)] | None
    weights: fields.Text | None
    reference: fields.Text | None
    floor: fields.Text | None
    groups: Annotated[int, fields.whole(2, 1000)]
    batch_size: fields.Count

    @property
    def enabled(self) -> bool:
        """Whether there is an extractor, and a reference to compare with."""
        return self.extractor is not None and self.reference is not None
