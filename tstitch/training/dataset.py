"""The data set of a training, its labels those of the pair: by name where there are names."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Subset, TensorDataset

from tstitch.config.cli import instantiate
from tstitch.data.class_names import listed, match_classes
from tstitch.data.items import CheckedItems, Items, checked_tensors, whole_number
from tstitch.pair.spec import PairSpec
from tstitch.runtime.errors import UserError, errors_of

log = logging.getLogger(__name__)


def open_data(config: Any, pair: PairSpec) -> Items:
    """The data set, checked against the pair before anything is computed.

    Images must have the size that the pair takes. The classes that a data set names (`classes`, as
    torchvision's have it) are found among the pair's by name; which of those have no images is
    said.

    Returns:
        A TensorDataset, or CheckedItems.

    Raises:
        UserError: no images, of another size, or classes or labels that the pair has not.
    """
    dataset = instantiate(config, "data")
    names = _names(dataset)
    labels = None if names is None else _labels(names, pair)
    checked: TensorDataset | CheckedItems
    if isinstance(dataset, TensorDataset):
        checked = checked_tensors(dataset, labels, pair.num_classes)
        shape = tuple(checked.tensors[0].shape[1:])
    else:
        checked = CheckedItems(dataset, labels, pair.num_classes)
        shape = checked.shape
    space = pair.space
    expected = (space.image_channels, space.image_size, space.image_size)
    if shape != expected:
        raise UserError(
            f"data: its images are {shape}, pair {pair.name} takes {expected}; choose another "
            "pair, or data of that size"
        )
    return checked


def _names(dataset: Any) -> Sequence[str] | None:
    """Names by label, of a part of a data set those of the whole; None if there are none.

    The labels of torchvision's folders are those of class_to_idx, whatever the order of classes.
    """
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    for found in (getattr(dataset, "class_to_idx", None), getattr(dataset, "classes", None)):
        if isinstance(found, Mapping):
            by_label = {whole_number(label): name for name, label in found.items()}
            if len(by_label) < len(found) or by_label.keys() != set(range(len(found))):
                continue
            found = [by_label[label] for label in range(len(found))]
        elif isinstance(found, np.ndarray):
            found = found.tolist()
        if not isinstance(found, list | tuple) or not found:
            continue
        if all(isinstance(n, str | int) and not isinstance(n, bool) for n in found):
            return [str(name) for name in found]
    return None


def _labels(names: Sequence[str], pair: PairSpec) -> tuple[int, ...]:
    known = pair.class_names
    with errors_of("data: "):
        labels = match_classes(names, known)
    if missing := [known[k] for k in range(len(known)) if k not in labels]:
        log.warning(
            "data: no images of %d of the pair's %d classes (%s)",
            len(missing), len(known), listed(missing),
        )  # fmt: skip
    if tuple(names) != tuple(known):
        pairs = [f"{name} = {known[label]}" for name, label in zip(names, labels, strict=True)]
        log.info("data: its classes are the pair's so: %s", listed(pairs))
    return labels
