"""Classes by their names: of a data set's folders, and of what is asked for in a notebook."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from tstitch.data.items import whole_number

SHOWN = 3  # names in a message
WORDNET = re.compile(r"n\d{8}")


def match_classes(names: Sequence[str], known: Sequence[str]) -> tuple[int, ...]:
    """The pair's label of each class of a data set, by name.

    A name is the pair's own (in any case, with any separators between its words), the number of a
    label, or, for ImageNet's classes, a WordNet id. Classes of a pair that only numbers them are
    taken in the data's order if there are as many, and names are no numbers.

    Args:
        names: of the data's classes, by the data's labels.
        known: of the pair's classes.

    Raises:
        ValueError: a name that the pair does not have, or that two classes share; one line.
    """
    labels = _by_name(names, known) or _by_number(names, len(known)) or _by_wordnet(names, known)
    if labels is not None:
        if len(set(labels)) < len(labels):
            twice = next(k for k, label in enumerate(labels) if label in labels[:k])
            first = names[labels.index(labels[twice])]
            raise ValueError(f"{first} and {names[twice]} are one class of the pair; merge them")
        return labels
    if _is_numbered(known):
        if len(names) == len(known) and not all(name.isdecimal() for name in names):
            return tuple(range(len(known)))
        raise ValueError(
            f"has {len(names)} classes ({listed(names)}), the pair 0 to {len(known) - 1}; "
            f"give pair.classes=[{','.join(names[:SHOWN])}{',...' if len(names) > SHOWN else ''}]"
        )
    own = _index(known)
    strange = [name for name in names if len(own.get(_letters(name), ())) != 1]
    if double := [name for name in strange if own.get(_letters(name))]:
        raise ValueError(f"{double[0]} names several classes of the pair; use their numbers")
    raise ValueError(
        f"has classes that the pair has not ({listed(strange)}); pair.classes has {listed(known)}: "
        "rename or remove them, or choose other pair.classes"
    )


def label_of(value: Any, known: Sequence[str]) -> int:
    """A class given as label or by its name.

    Raises:
        ValueError: neither a whole number of 0..N-1 nor the name of one class; one line.
    """
    if isinstance(value, str):
        found = [label for label, name in enumerate(known) if name == value]
        found = found or _index(known).get(_letters(value), [])
        if len(found) > 1:
            raise ValueError(f"{value!r} names classes {listed(found)}; give one of these")
        if found:
            return found[0]
    else:
        label = whole_number(value)
        if label is not None and 0 <= label < len(known):
            return label
    raise ValueError(
        f"{value!r} is no class; give class indices from 0 to {len(known) - 1}, or names as "
        f"{listed(known)}"
    )


def labels_of(values: Any, known: Sequence[str]) -> list[int]:
    """Classes given in a list, tuple, range, array or tensor of labels or names.

    Raises:
        ValueError: none, no sequence, or one that is no class; one line.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = values.tolist()
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Sequence):
        given = " ".join(repr(values).split())[:80]
        raise ValueError(f"{given}: give a list of classes, one per image, as [0, 1]")
    if not values:
        raise ValueError(f"[]: give class indices from 0 to {len(known) - 1}, one per image")
    return [label_of(value, known) for value in values]


def listed(values: Sequence[Any]) -> str:
    """The first values, and how many there are if these are not all."""
    shown = ", ".join(str(value) for value in values[:SHOWN])
    return shown if len(values) <= SHOWN else f"{shown}, ... {len(values)} in all"


def _by_name(names: Sequence[str], known: Sequence[str]) -> tuple[int, ...] | None:
    exact, own = list(known), _index(known)
    labels = []
    for name in names:
        found = own.get(_letters(name), [])
        if exact.count(name) == 1:
            found = [exact.index(name)]
        if len(found) != 1:
            return None
        labels.append(found[0])
    return tuple(labels)


def _by_number(names: Sequence[str], count: int) -> tuple[int, ...] | None:
    if not all(re.fullmatch(r"[0-9]+", name) and int(name) < count for name in names):
        return None
    return tuple(int(name) for name in names)


def _by_wordnet(names: Sequence[str], known: Sequence[str]) -> tuple[int, ...] | None:
    if not all(WORDNET.fullmatch(name) for name in names):
        return None
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    if tuple(text.split(",")[0] for text in info.label_descriptions()) != tuple(known):
        return None
    labels = {name: label for label, name in enumerate(info.label_names())}
    return tuple(labels[name] for name in names) if labels.keys() >= set(names) else None


def _is_numbered(known: Sequence[str]) -> bool:
    return tuple(known) == tuple(str(label) for label in range(len(known)))


def _index(known: Sequence[str]) -> dict[str, list[int]]:
    """Labels by what counts of their name."""
    found: dict[str, list[int]] = {}
    for label, name in enumerate(known):
        found.setdefault(_letters(name), []).append(label)
    return found


def _letters(name: str) -> str:
    """What counts of a name: all but its case, and how its words are separated.

    `T-shirt/top` is `t_shirt top`, but `C++`, `C#` and `C`, or `-5` and `5`, are not the same, nor
    are `1.5` and `15`. Accents count, in whichever of Unicode's forms a file system keeps them.
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold()).strip(" _")
    return re.sub(r"(?<=[^\W_])[\s_/.,:'-]+(?=[^\W_])", _joint, plain) or name


def _joint(separator: re.Match[str]) -> str:
    """What is left of a separator between two words: only numbers would run together."""
    before, after = separator.string[separator.start() - 1], separator.string[separator.end()]
    return separator[0] if before.isdecimal() and after.isdecimal() else ""
