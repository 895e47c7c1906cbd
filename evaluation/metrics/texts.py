"""What images should show, embedded where they are themselves."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """Captions of every subject in every style, and which of them the images are of.

    Args:
        embeddings: (S, T, E) float64 unit vectors of S subjects in T styles; empty on ranks
            other than 0.
        numbers: (N,) int64, subject * T + style of each image.
    """

    embeddings: Tensor
    numbers: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The prompts of the images to measure, on the device; the same fields on every rank.

    Args:
        embeddings: (P, E) float64 unit vectors of the prompts; empty on ranks other than 0.
        labels: (N,) int64, the prompt of each image.
        choices: what else they might be taken for; None = prompts of another form.
    """

    embeddings: Tensor
    labels: Tensor
    choices: Choices | None = None
