"""Emojis with classes in place of captions: for networks that take labels."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch.utils.data import TensorDataset

from tstitch.data.datasets import SPLITS
from tstitch.data.emoji_set import TILE, emoji_set, emoji_subgroups


class EmojiClasses(TensorDataset):
    """uint8 images (N, 3, side, side) and int64 labels (N,), of some styles.

    Args:
        classes: Unicode's subgroups that each class joins, by the name of the class, in the order
            of labels. Emojis of other subgroups are left out.
        styles: as captions have them; None = all.
        split: train, or test for the images that are held out.
        folder, side: as of tstitch.data.emoji_set.

    Attributes:
        classes: names, by label.

    Raises:
        ValueError: a subgroup or style that there is not, a subgroup in two classes, or nothing
            left; the message is `name=value: what is allowed`.
    """

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        styles: Sequence[str] | None = None,
        split: str = "train",
        folder: str | None = None,
        side: int = TILE,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split={split}: choose one of {', '.join(SPLITS)}")
        subgroups = emoji_subgroups(folder)
        label_of = _labels(classes, subgroups)
        emojis = emoji_set(folder, side)
        shown = emojis.style_names if styles is None else _names("styles", styles)
        _check("styles", shown, emojis.style_names)

        labels = torch.tensor([label_of.get(name, -1) for name in subgroups])[emojis.subjects]
        wanted = torch.tensor([name in shown for name in emojis.style_names])[emojis.styles]
        wanted &= (labels >= 0) & (emojis.held_out == (split == "test"))
        if not wanted.any():
            raise ValueError(f"styles={','.join(shown)}: no {split} image is left; name more")
        super().__init__(emojis.images[wanted], labels[wanted])
        self.classes = tuple(map(str, classes))


def _labels(classes: Mapping[str, Sequence[str]], known: Collection[str]) -> dict[str, int]:
    """The label of each subgroup that a class names."""
    if not isinstance(classes, Mapping) or not classes:
        raise ValueError(f"classes={classes!r}: give lists of subgroups by name of a class")
    found: dict[str, int] = {}
    for label, (name, members) in enumerate(classes.items()):
        field = f"classes.{name}"
        for member in _names(field, members):
            _check(field, [member], known)
            if member in found:
                raise ValueError(f"{field}={member}: is in another class too; name it once")
            found[member] = label
    return found


def _names(field: str, values: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"{field}={values!r}: give a list of names")
    return tuple(map(str, values))


def _check(field: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            options = ", ".join(dict.fromkeys(known))
            raise ValueError(f"{field}={name}: choose from {options}")
