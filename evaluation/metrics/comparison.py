"""Both sides of a comparison: samples, which may be shared out over ranks, and real images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from evaluation.metrics.moments import Moments
from evaluation.metrics.texts import Texts

T = TypeVar("T")


class Samples:
    """Features of the images to measure, by groups of consecutive indices.

    Args:
        own: group number -> kind -> features (n, ...) of its images; of the groups that are here,
            in order.
        groups: image indices of every group, here or not.
        dimensions: values per image of each kind of features.
        labels: (N,) int64 class of every image, if all are known.
        texts: prompts of every image, where the extractor reads them.
        device: where products of features are computed; it must have float64.
        collect: own groups' values -> those of all groups in order, on rank 0; [] on other ranks.
        add: moments -> their sum over ranks, on the device. Both as if one process had all.
    """

    def __init__(
        self,
        own: Mapping[int, Mapping[str, Tensor]],
        groups: Sequence[range],
        dimensions: Mapping[str, int],
        *,
        labels: Tensor | None = None,
        texts: Texts | None = None,
        device: torch.device | str = "cpu",
        collect: Callable[[dict[int, Any]], list[Any]] = lambda own: list(own.values()),
        add: Callable[[Moments], Moments] = lambda moments: moments,
    ) -> None:
        self._own, self._groups, self._dimensions = own, groups, dimensions
        self._collect, self._add = collect, add
        self._gathered: dict[str, Tensor | None] = {}
        self.count, self.labels, self.device = groups[-1].stop, labels, device
        self.texts = texts

    def by_group(self, measure: Callable[[range, Mapping[str, Tensor]], T]) -> list[T]:
        """measure(indices, features) of every group, each computed where its features are.

        All of them in order on rank 0, [] on the others.
        """
        return self._collect({n: measure(self._groups[n], f) for n, f in self._own.items()})

    def moments(self, kind: str) -> Moments:
        """Moments of one kind of features of all images, on every rank's device."""
        total = Moments.none(self._dimensions[kind])
        for features in self._own.values():
            total = total + Moments.of(features[kind].to(self.device)).to("cpu")
        return self._add(total)

    def all(self, kind: str) -> Tensor | None:
        """One kind of features of all images on the device, float64 unless whole numbers.

        Kept, for several metrics ask for it. None on ranks other than 0, and of an unknown kind.
        """
        if kind in self._dimensions and kind not in self._gathered:
            parts = self.by_group(lambda _, features: features[kind])
            found = torch.cat(parts) if parts else None
            if found is not None and found.is_floating_point():
                found = found.double()
            self._gathered[kind] = None if found is None else found.to(self.device)
        return self._gathered.get(kind)

    @property
    def numbers(self) -> Tensor:
        """(N,) int64, the group of each image, on the device."""
        sizes = torch.tensor([len(group) for group in self._groups])
        return torch.repeat_interleave(sizes).to(self.device)


@dataclass(eq=False)
class ReferenceStatistics:
    """What is known of the real images, and what metrics have made of it."""

    # Mean (D,) and covariance (D, D) float64 by kind of features, on every rank.
    gaussians: Mapping[str, tuple[Tensor, Tensor]]
    features: Tensor | None = None  # (M, D) float64 "pool", M > 3, on rank 0; None = not known
    num_images: int | None = None  # that it is of, if known
    _made: dict[str, Any] = field(default_factory=dict, init=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What every comparison needs of the real images alone, made at its first use."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
