"""Items of any data set, checked: what a data set of somebody else's raises becomes one line."""

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from tstitch.runtime.errors import UserError

WANTED = "give (image, label) with uint8 images (C, H, W) of 0..255"


class Items(Protocol):
    """A map-style data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class CheckedItems(Dataset[Any]):
    """Images uint8 (C, H, W) of one shape, and labels as integers.

    Args:
        dataset: map-style, of (image, label).
        labels: the label to use in place of each of the data's own; None = the data's own.
        num_classes: labels must lie below it; None = any label.

    Attributes:
        dataset: as given.
        shape: (C, H, W) of the first image.

    Raises:
        UserError: no map-style data set, no items, or a first item that is not as above.
    """

    def __init__(
        self, dataset: Items, labels: Sequence[int] | None = None, num_classes: int | None = None
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise UserError(f"data: {_kind(dataset)} has no length or no items; {WANTED}")
        try:
            length = len(dataset)
        except Exception as error:  # somebody else's code
            line = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(
                f"data: its length cannot be had ({line}); check the data set"
            ) from error
        if not length:
            raise UserError("data: holds no images; check its folder")
        self.dataset, self.labels, self._num_classes = dataset, labels, num_classes
        self.shape: tuple[int, ...] = ()  # of any image, as long as there is none
        self.shape = tuple(self[0][0].shape)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Image and label.

        Raises:
            UserError: an item that cannot be read or is not as above; one line.
        """
        try:
            item = self.dataset[index]
        except Exception as error:  # somebody else's code
            raise UserError(_describe(error, index)) from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"data: item {index} is {_kind(item)}; {WANTED}")
        image, label = item
        if not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 3:
            raise UserError(f"data: the image of item {index} is {_kind(image)}; {WANTED}")
        if self.shape and tuple(image.shape) != self.shape:
            raise UserError(
                f"data: the image of item {index} is {tuple(image.shape)}, that of item 0 "
                f"{self.shape}; give images of one size"
            )
        return image, self._label(label, index)

    def _label(self, label: Any, index: int) -> int:
        number = whole_number(label)
        if number is None:
            raise UserError(
                f"data: the label of item {index} is {_kind(label)}; give whole numbers from 0"
            )
        if self.labels is not None:
            if not 0 <= number < len(self.labels):
                raise UserError(
                    f"data: has label {number}, but names only {len(self.labels)} classes; check it"
                )
            number = self.labels[number]
        check_label(number, self._num_classes)
        return number


def checked_tensors(
    dataset: TensorDataset, labels: Sequence[int] | None, num_classes: int
) -> TensorDataset:
    """Whole tensors, which are checked at once; arguments as of CheckedItems.

    Raises:
        UserError: other tensors than uint8 images and as many whole labels in 0..num_classes-1.
    """
    CheckedItems(dataset)  # the first item says what is wrong with the types
    images, y = dataset.tensors
    if labels is not None:
        check_label(int(y.min()), len(labels))
        check_label(int(y.max()), len(labels))
        y = torch.tensor(labels)[y.long()]
    check_label(int(y.min()), num_classes)
    check_label(int(y.max()), num_classes)
    return TensorDataset(images, y.long())


def check_label(label: int, num_classes: int | None) -> None:
    """Refuses what would pass for the null class, or for none.

    Raises:
        UserError: a label outside 0..num_classes-1.
    """
    if label < 0 or (num_classes is not None and label >= num_classes):
        known = "none below 0" if num_classes is None else f"only 0 to {num_classes - 1}"
        raise UserError(
            f"data: has label {label}, the pair {known}; check the data or pair.classes"
        )


def whole_number(value: Any) -> int | None:
    """A Python, numpy or torch integer as int; None for anything else, bool and 5.0 included."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return None


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of {value.dtype} {tuple(value.shape)}"
    if isinstance(value, str | int | float | bool | None):
        return repr(value)[:40]
    return f"a {type(value).__name__}"


def _describe(error: Exception, index: int) -> str:
    line = " ".join(str(error).split())
    if isinstance(error, ValueError) and re.match(
        r"\w+=", line
    ):  # our own data sets name the field
        return f"data.{line}"
    reason = f"{type(error).__name__}: {line}"[:200] if line else type(error).__name__
    return f"data: item {index} cannot be read ({reason}); check the data set"
