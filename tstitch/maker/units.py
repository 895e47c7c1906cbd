"""Batches by their images' indices: the same for every number of ranks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive image indices first..end-1: one batch, one shard."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def indices(self) -> range:
        """The images' indices."""
        return range(self.first, self.end)


def cut(num_images: int, batch_size: int) -> list[Unit]:
    """The index list in batches, the same for every number of ranks."""
    return [
        Unit(first, min(first + batch_size, num_images))
        for first in range(0, num_images, batch_size)
    ]
