"""Captions that name a subject and a style: what else an image might be taken for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class CaptionGrid:
    """Every subject in every style.

    Args:
        subjects, styles: names, each once.
        form: a caption of `{subject}` and `{style}`.

    Raises:
        ValueError: fewer than two of either, a name twice, or a form without both.
    """

    subjects: tuple[str, ...]
    styles: tuple[str, ...]
    form: str = "{subject}, {style} style"

    def __post_init__(self) -> None:
        for field in ("subjects", "styles"):
            names = getattr(self, field)
            if len(names) < 2 or len(set(names)) < len(names):
                raise ValueError(f"{field}: give two names or more, each once")
        if "{subject}" not in self.form or "{style}" not in self.form:
            raise ValueError(f"form={self.form!r}: give a text with {{subject}} and {{style}}")

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """All captions; those of one subject follow each other, in the order of styles."""
        return tuple(
            self.form.format(subject=subject, style=style)
            for subject in self.subjects
            for style in self.styles
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the captions."""
        return hashlib.sha256("\n".join(self.captions).encode()).hexdigest()

    def places(self, prompts: Sequence[str]) -> list[int | None]:
        """Number of the caption that each prompt is, whatever its case and spaces; None of none."""
        return [self._numbers.get(_plain(prompt)) for prompt in prompts]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {_plain(caption): number for number, caption in enumerate(self.captions)}


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
