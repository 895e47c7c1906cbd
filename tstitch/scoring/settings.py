"""The checked `evaluation` section of the configuration."""

from dataclasses import dataclass, fields
from typing import Any

from tstitch.config.section import Section

MIN_IMAGES = 4  # one more than the neighbours of precision and recall


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What to measure images with; described in configs/evaluation/inception.yaml."""

    extractor: dict[str, Any] | None
    weights: str | None
    reference: str | None
    floor: str | None
    groups: int
    batch_size: int

    @property
    def enabled(self) -> bool:
        """Whether there is an extractor, and a reference to compare with."""
        return self.extractor is not None and self.reference is not None


def parse_evaluation(config: Any) -> EvaluationSettings:
    """Checks the `evaluation` section; reads no files.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "evaluation", [field.name for field in fields(EvaluationSettings)])
    extractor = section.raw("extractor")
    if extractor is not None and not isinstance(extractor, dict):
        raise section.refuse("extractor", "needs a section with _target_; choose evaluation=NAME")
    return EvaluationSettings(
        extractor=extractor,
        weights=_text(section, "weights"),
        reference=_text(section, "reference"),
        floor=_text(section, "floor"),
        groups=section.integer("groups", 2, 1000),
        batch_size=section.integer("batch_size", 1),
    )


def _text(section: Section, name: str) -> str | None:
    return None if section.raw(name) is None else section.text(name)
