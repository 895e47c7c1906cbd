"""Parameters and FLOPs of a pair's networks, whole and in parts, without their weights."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from evaluation.cost.flops import NetworkCost, count_flops, counted, one_latent
from tstitch.pair.spec import PairSpec, build_network

KEPT = 64  # networks whose counts are kept


@dataclass(frozen=True, slots=True)
class _Built:
    """A network on the meta device, equal to another of the same class and arguments."""

    kind: type[nn.Module]  # what its section names may be another class by now
    section: str
    latent_shape: tuple[int, int, int]
    num_classes: int
    network: nn.Module = field(compare=False)


def network_costs(pair: PairSpec) -> dict[str, NetworkCost]:
    """By denoiser, small to large; a network is counted once in a process."""
    return {name: _count(built) for name, built in _networks(pair)}


def part_flops(pair: PairSpec) -> dict[str, tuple[int, int]]:
    """FLOPs of one latent by each denoiser's encoder and by its decoder; all of them split.

    Together they are a little more than the whole: both embed the time.
    """
    return {name: _count_parts(built) for name, built in _networks(pair)}


def _networks(pair: PairSpec) -> Iterator[tuple[str, _Built]]:
    for spec in pair.denoisers:
        with torch.device("meta"):
            network = build_network(pair, spec)
        section = json.dumps(dict(spec.network), sort_keys=True, default=str)
        shape = tuple(pair.space.shape)
        yield spec.name, _Built(type(network), section, shape, pair.num_classes, network)


@lru_cache(maxsize=KEPT)
def _count(built: _Built) -> NetworkCost:
    # Counting takes ten times as long as building, and a sweep asks for every point.
    parameters = sum(p.numel() for p in built.network.parameters())
    return NetworkCost(parameters, count_flops(built.network, built.latent_shape))


@lru_cache(maxsize=KEPT)
def _count_parts(built: _Built) -> tuple[int, int]:
    network: Any = built.network
    x, t, y = one_latent(built.latent_shape)
    features = network.encode(x, t, y)  # shapes alone
    return (
        counted(lambda: network.encode(x, t, y)),
        counted(lambda: network.decode(features, t, y)),
    )
