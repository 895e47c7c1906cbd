"""Parameters and FLOPs of a pair's networks, without their weights."""

import json
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import nn

from evaluation.cost.flops import NetworkCost, count_flops
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
    costs = {}
    for spec in pair.denoisers:
        with torch.device("meta"):
            network = build_network(pair, spec)
        section = json.dumps(dict(spec.network), sort_keys=True, default=str)
        shape = tuple(pair.space.shape)
        costs[spec.name] = _count(_Built(type(network), section, shape, pair.num_classes, network))
    return costs


@lru_cache(maxsize=KEPT)
def _count(built: _Built) -> NetworkCost:
    # Counting takes ten times as long as building, and a sweep asks for every point.
    parameters = sum(p.numel() for p in built.network.parameters())
    return NetworkCost(parameters, count_flops(built.network, built.latent_shape))
