"""A larger network that begins as a smaller one, after Net2Net (arXiv 1511.05641)."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.checkpoints import CheckpointError, read_part
from tstitch.runtime.errors import UserError, errors_of

log = logging.getLogger(__name__)
HIDDEN_IN = re.compile(r"blocks\.\d+\.mlp\.fc1\.(weight|bias)")  # a row per hidden unit
HIDDEN_OUT = re.compile(r"blocks\.\d+\.mlp\.fc2\.weight")  # a column per hidden unit
BLOCK = re.compile(r"blocks\.(\d+)\.")


def grow_network(network: nn.Module, path: Path, field: str) -> None:
    """Fills a fresh DiT with the weights of a smaller one, so that both predict the same.

    The larger one may have further blocks at the end, and further hidden units in its MLPs. Fresh
    blocks have closed gates (adaLN-Zero); fresh hidden units get no outgoing weight here.

    Args:
        network: freshly initialised; changed in place.
        path: file of the smaller network's weights.

    Raises:
        UserError: unreadable weights, or a network that differs in more than that.
    """
    with errors_of(f"{field}: ", CheckpointError):
        smaller, entry = read_part(network, path)
    if entry:
        log.info("%s: read entry %s of %s", field, entry, path)
    own = network.state_dict()
    if wrong := _misfits(own, smaller):
        raise UserError(
            f"{field}={path}: the network cannot grow out of it ({', '.join(wrong[:3])} differ); "
            "only its depth and mlp_ratio may be larger"
        )
    with torch.no_grad():
        for name, value in smaller.items():
            target = own[name]
            if HIDDEN_OUT.fullmatch(name):
                target.zero_()
            target[tuple(slice(size) for size in value.shape)] = value.to(target.dtype)


def _misfits(own: Mapping[str, Tensor], smaller: Mapping[str, Tensor]) -> list[str]:
    depth = max((int(m[1]) for name in smaller if (m := BLOCK.match(name))), default=-1) + 1
    found = [name for name in smaller if name not in own]
    for name, value in own.items():
        block = BLOCK.match(name)
        if name not in smaller:
            fits = block is not None and int(block[1]) >= depth
        else:
            fits = _holds(name, value.shape, smaller[name].shape)
        if not fits:
            found.append(name)
    return found


def _holds(name: str, shape: torch.Size, part: torch.Size) -> bool:
    """Whether a weight of `shape` may begin as one of shape `part`."""
    if HIDDEN_IN.fullmatch(name):
        return len(shape) == len(part) and shape[0] >= part[0] and shape[1:] == part[1:]
    if HIDDEN_OUT.fullmatch(name):
        return len(shape) == len(part) and shape[1] >= part[1] and shape[0] == part[0]
    return shape == part
