"""Which of a checkpoint's entries are the weights of a network: averaged before raw, by names.

An entry is a set of tensors at one place of the file: the keys of one dict below one prefix
(`state_dict/model.`), or a list of averaged parameters in the order of the network's.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint_names import (
    Place,
    Tensors,
    is_averaged,
    is_counter,
    is_optimizer,
    places,
    shown_prefix,
    without_wrappers,
)


class Misfit(ValueError):
    """No entry, or more than one, can be a network's weights; the message is a single line."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a network needs: shapes by name, and which names may come from elsewhere."""

    shapes: dict[str, torch.Size]
    parameters: tuple[str, ...]  # in the network's order
    trained: frozenset[str]
    recomputed: frozenset[str]  # the network's own value is as good
    part: bool = False  # any of these names, of any shape: of a network that is to grow

    @classmethod
    def by(cls, network: nn.Module, part: bool = False) -> "Wanted":
        """Of a network, which may be on the meta device.

        Fixed tensors that its constructor computes anew are those that it names `recomputed`.
        """
        return cls(
            {name: value.shape for name, value in network.state_dict().items()},
            tuple(name for name, _ in network.named_parameters()),
            frozenset(name for name, p in network.named_parameters() if p.requires_grad),
            frozenset(getattr(network, "recomputed", ())),
            part,
        )


@dataclass(slots=True)
class Entry:
    """Tensors of one place in the file, by the network's names."""

    name: str  # as in the file, `model_ema` or `state_dict/model.`; empty for a plain state dict
    averaged: bool
    tensors: dict[str, Tensor]
    missing: list[str]
    surplus: list[str]
    misshaped: list[str]
    used: set[str] = field(default_factory=set)  # places of its tensors in the file

    @property
    def fits(self) -> bool:
        """Whether it is all that the network needs, and nothing else."""
        return not (self.missing or self.surplus or self.misshaped)


def choose_entry(content: Mapping[Any, Any], network: nn.Module, part: bool = False) -> Entry:
    """The entry of a checkpoint that is a network's weights; only averaged ones where there are.

    Names that `network.recomputed` lists may be missing: they are in no entry then.

    Args:
        content: a file's content: tensors by name, or containers of them.
        network: may be on the meta device.
        part: take weights by most of their names, whatever they lack or have besides.

    Raises:
        Misfit: nothing fits, several entries do, or raw weights do beside averaged ones that
            cannot be read; both are named.
    """
    wanted = Wanted.by(network, part)
    held = [(path, tensors) for path, tensors in places(content) if tensors]
    if not held:
        raise Misfit(": holds no tensors")
    entries = [
        entry
        for path, tensors in held
        for entry in (
            _listed(path, tensors, wanted)
            if isinstance(tensors, list)
            else _named(path, tensors, wanted)
        )
    ]
    raw = [entry for entry in entries if entry.fits and not entry.averaged]
    for entry in entries:
        if entry.averaged and entry.tensors and raw:
            _complete(entry, raw[0], wanted)
    averaged = [entry for entry in entries if entry.fits and entry.averaged]
    chosen = _different(averaged or raw)
    if len(chosen) > 1:
        names = " and ".join(repr(entry.name) for entry in chosen)
        raise Misfit(
            f": its entries {names} both fit {type(network).__name__} and differ; keep the one "
            "you want in a file of its own"
        )
    if not chosen:
        raise Misfit(_misfit(entries, type(network).__name__))
    if not averaged and (unread := _averaged_beside(held, raw)):
        raise Misfit(
            f": averaged weights in {unread!r} do not fit {type(network).__name__}, the raw ones "
            f"in {chosen[0].name!r} do; keep the entry you want in a file of its own"
        )
    return chosen[0]


def _listed(path: tuple[str, ...], tensors: list[Tensor], wanted: Wanted) -> list[Entry]:
    """A list that is named as averaged: of all parameters, or of the trained ones, in order."""
    label = "/".join(path)
    if not is_averaged(label):
        return []  # positions without a word on whose they are
    trained = tuple(name for name in wanted.parameters if name in wanted.trained)
    for names in (wanted.parameters, trained):
        if len(names) == len(tensors):
            found = dict(zip(names, tensors, strict=True))
            return [_entry(label, True, found, [], wanted, {label})]
    missing = list(wanted.parameters[len(tensors) :])
    surplus = [f"{label}/{number}" for number in range(len(wanted.parameters), len(tensors))]
    return [Entry(label, True, {}, missing, surplus, [])]


def _named(path: tuple[str, ...], tensors: dict[str, Tensor], wanted: Wanted) -> list[Entry]:
    """One entry per prefix below which the network's names are found."""
    plain = without_wrappers(tensors, wanted.shapes)
    coverage = Counter(
        name[:start]
        for name in plain
        for start in (0, *(m.end() for m in re.finditer(r"\.", name)))
        if name[start:] in wanted.shapes
    )
    if not coverage:
        coverage[""] = 0
    best = max(coverage.values())
    others = {prefix for prefix, count in coverage.items() if 2 * count >= best}
    entries = []
    for prefix, count in coverage.items():
        if 2 * count < best:
            continue  # short names such as `weight` end many others
        inner = tuple(p for p in others if p != prefix and p.startswith(prefix))
        found = {
            name.removeprefix(prefix): original
            for name, original in plain.items()
            if name.startswith(prefix)
            and (name.removeprefix(prefix) in wanted.shapes or not name.startswith(inner))
        }
        shown = shown_prefix({n: o for n, o in found.items() if n in wanted.shapes}, prefix)
        label = "/".join(path) + ("/" if path and shown else "") + shown
        averaged = is_averaged(label) or f"{prefix}n_averaged" in plain
        if averaged or not is_optimizer(label):
            own = {n: tensors[original] for n, original in found.items() if n in wanted.shapes}
            rest = {
                name: original
                for name, original in found.items()
                if name not in own and not is_counter(name, tensors[original])
            }
            used = {"/".join((*path, original)) for original in found.values()}
            surplus = list(rest.values())
            if wanted.part and len(own) > len(surplus):
                own |= {name: tensors[original] for name, original in rest.items()}
                entries.append(Entry(label, averaged, own, [], [], [], used))
            else:
                entries.append(_entry(label, averaged, own, surplus, wanted, used))
    return entries


def _entry(
    label: str,
    averaged: bool,
    found: dict[str, Tensor],
    surplus: list[str],
    wanted: Wanted,
    used: set[str],
) -> Entry:
    missing = [n for n in wanted.shapes if n not in found and n not in wanted.recomputed]
    misshaped = [
        f"{name}: {tuple(found[name].shape)} in the file, {tuple(shape)} in the model"
        for name, shape in wanted.shapes.items()
        if name in found and found[name].shape != shape
    ]
    return Entry(label, averaged, found, missing, surplus, misshaped, used)


def _complete(entry: Entry, raw: Entry, wanted: Wanted) -> None:
    """Gives averaged weights what is not trained, and hence not averaged, from beside them."""
    for name in raw.tensors.keys() - entry.tensors.keys() - wanted.trained:
        entry.tensors[name] = raw.tensors[name]
    entry.missing = [name for name in entry.missing if name not in entry.tensors]


def _different(entries: list[Entry]) -> list[Entry]:
    """Without those that hold the same values as an earlier one."""
    kept: list[Entry] = []
    for entry in entries:
        if not any(_same(entry.tensors, other.tensors) for other in kept):
            kept.append(entry)
    return kept


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name])
        for name, value in one.items()
    )


def _averaged_beside(held: list[tuple[Place, Tensors]], raw: list[Entry]) -> str | None:
    """A place named as averaged that holds weights of none of the entries."""
    used = {place for entry in raw for place in entry.used}
    for path, tensors in held:
        own = (
            [(path, t) for t in tensors]
            if isinstance(tensors, list)
            else [((*path, name), t) for name, t in tensors.items()]
        )
        for where, tensor in own:
            place = "/".join(where)
            if place not in used and tensor.numel() > 1 and is_averaged(place):
                parts = re.split(r"(?<=[/.])", place)
                last = max(i for i, part in enumerate(parts) if is_averaged(part))
                return "".join(parts[: last + 1]).rstrip("/")
    return None


def _misfit(entries: list[Entry], network: str) -> str:
    if not entries:
        return f" does not fit {network}: it holds no weights by name"
    best = max(entries, key=lambda entry: (len(entry.tensors), entry.averaged))
    problems = {k: getattr(best, k) for k in ("missing", "surplus", "misshaped")}
    parts = [f"{len(some)} {kind} ({first(some)})" for kind, some in problems.items() if some]
    place = f" in its entry {best.name!r}" if best.name else ""
    return f" does not fit {network}{place}: {'; '.join(parts)}; {_remedy(best)}"


def _remedy(best: Entry) -> str:
    if any(re.search(r"(?<![a-z])lora_", name) for name in best.surplus):
        return "it holds adapters: merge them into the network's weights and save these"
    if best.misshaped or not best.tensors:
        return (
            "probably the wrong model for this checkpoint: choose the model and the weights that "
            "belong together"
        )
    if best.missing and not best.surplus:
        return "it holds a part of the network only: give the whole file, or join its shards"
    return "the other names fit: choose the variant of the model that these weights are of"


def first(names: Sequence[str], limit: int = 3) -> str:
    """The first of some names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
