"""Places and names in a checkpoint: what wrappers, averaging and optimisers call their entries."""

import re
from collections.abc import Collection, Iterator, Mapping

from torch import Tensor

# Parts that wrappers put into names: DDP, torch.compile, FSDP, activation checkpoints, Lightning.
WRAPPERS = {
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module",
}  # fmt: skip
# Counters that averaging keeps beside the weights.
BOOKKEEPING = {
    "n_averaged", "initted", "step", "steps", "global_step", "decay", "num_updates", "epoch",
    "iteration", "num_batches_tracked",
}  # fmt: skip
Place = tuple[str, ...]  # the names above an entry of a checkpoint
Tensors = dict[str, Tensor] | list[Tensor]
_AVERAGED = re.compile(r"(?<![a-z])(ema|emas|swa|(?<!exp_)avg|averaged?|shadow|polyak)(?![a-z])")
_RAW = re.compile(r"(?<![a-z])(online|raw)(?![a-z])")
_OPTIMIZER = re.compile(r"optim|(?<![a-z])(opt|exp_avg|momentum|scheduler|scaler)(?![a-z])")
MAX_DEPTH = 8


def places(content: object, path: tuple[str, ...] = ()) -> Iterator[tuple[Place, Tensors]]:
    """Every dict and list with its tensors; keys that are no strings are written as such."""
    if len(path) > MAX_DEPTH:
        return
    if isinstance(content, Mapping):
        items = {str(key): value for key, value in content.items()}
        yield path, {key: value for key, value in items.items() if isinstance(value, Tensor)}
    elif isinstance(content, list | tuple):
        items = {str(number): value for number, value in enumerate(content)}
        if content and all(isinstance(value, Tensor) for value in content):
            yield path, list(content)
            return
    else:
        return
    for key, value in items.items():
        yield from places(value, (*path, key))


def without_wrappers(names: Collection[str], own: Collection[str]) -> dict[str, str]:
    """Names in the file by names without the parts of wrappers, wherever they stand.

    Args:
        own: the network's names, whose parts are kept.
    """
    parts = WRAPPERS - {part for name in own for part in name.split(".")}
    plain = {".".join(p for p in name.split(".") if p not in parts): name for name in names}
    return plain if len(plain) == len(names) else {name: name for name in names}


def shown_prefix(found: Mapping[str, str], prefix: str) -> str:
    """What stands before all names of an entry in the file, wrappers included.

    Args:
        found: the names in the file by the network's.
        prefix: without wrappers; it is shown if they stand elsewhere too.
    """
    ends = {original.removesuffix(name) for name, original in found.items() if name != original}
    return ends.pop() if len(ends) == 1 and all(n != o for n, o in found.items()) else prefix


def is_averaged(label: str) -> bool:
    """Whether a place is named as averaged; the innermost word decides."""
    for part in reversed(re.split(r"[/.]", re.sub("([a-z])([A-Z])", r"\1_\2", label))):
        if _RAW.search(part.lower()):
            return False
        if _AVERAGED.search(part.lower()):
            return True
    return False


def is_counter(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is a counter that averaging keeps beside the weights."""
    return tensor.numel() == 1 and name.rpartition(".")[2] in BOOKKEEPING


def is_optimizer(label: str) -> bool:
    """Whether a place is named as an optimiser's, such as its moments."""
    return _OPTIMIZER.search(label.lower()) is not None
