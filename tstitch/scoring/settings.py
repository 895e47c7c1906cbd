"""The checked `evaluation` section of the configuration."""

from typing import Annotated, Any

from tstitch.validation import Count, Rule, Settings, Text, is_section, whole

MIN_IMAGES = 4  # one more than the neighbours of precision and recall
CHOOSE = "needs a section with _target_; choose evaluation=NAME"


class EvaluationSettings(Settings):
    """What to measure images with; described in configs/evaluation/inception.yaml."""

    path = "evaluation"

    extractor: Annotated[dict[str, Any], Rule(is_section, CHOOSE)] | None
    weights: Text | None
    reference: Text | None
    floor: Text | None
    groups: Annotated[int, whole(2, 1000)]
    batch_size: Count

    @property
    def enabled(self) -> bool:
        """Whether there is an extractor, and a reference to compare with."""
        return self.extractor is not None and self.reference is not None
