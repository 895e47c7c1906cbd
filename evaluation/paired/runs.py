"""Two runs side by side: the same image indices, noise and classes, other schedules or models."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from torch import Tensor

from evaluation.metrics.metric import Estimate


@dataclass(frozen=True, slots=True, eq=False)
class PairedImages:
    """What the comparisons know of the N images of a run and of its base, image by image.

    Raises:
        ValueError: other numbers of images, or features of other dimensions.
    """

    features: Tensor  # (N, D) float64 "pool" of the run
    base: Tensor  # (N, D) float64, of the run to compare with
    squared_errors: Tensor  # (N,) float64, see `closeness.squared_errors`
    labels: Tensor | None  # (N,) int64 class or prompt of each image, of both runs; None = unknown
    groups: Tensor  # (N,) int64 group of each image for the jackknife, ascending from 0

    def __post_init__(self) -> None:
        count, others = len(self.groups), (self.squared_errors, self.labels)
        if self.features.shape != self.base.shape or len(self.features) != count:
            raise ValueError(
                f"features={tuple(self.features.shape)}: those of the base are "
                f"{tuple(self.base.shape)}, of {count} images; give two runs of the same images"
            )
        if any(values is not None and len(values) != count for values in others):
            raise ValueError(f"labels: give one, and one squared error, per image ({count})")


@dataclass(frozen=True, slots=True)
class PairedMetric:
    """A number of a run against its base; `catalogue.PAIRED` lists those that are measured.

    Args:
        key: in files and code.
        title: for readers.
        unit: of the value; empty = none.
        of_features: whether it depends on the feature space, which its name then has.
        estimate: value and replicates; None where these images do not tell it.
    """

    key: str
    title: str
    _: KW_ONLY
    estimate: Callable[[PairedImages], Estimate | None]
    unit: str = ""
    of_features: bool = True

    def name(self, space: str) -> str:
        """`PSNR (dB)`, `diversity retention (SPACE)`, of an empty space `(Inception)`."""
        notes = [self.unit] if self.unit else []
        notes += [space or "Inception"] if self.of_features else []
        return f"{self.title} ({', '.join(notes)})"
