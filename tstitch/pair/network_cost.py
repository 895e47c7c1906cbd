"""Parameters and FLOPs of a pair's networks, without their weights."""

import torch

from evaluation.cost.flops import NetworkCost, count_flops
from tstitch.pair.spec import PairSpec, build_network


def network_costs(pair: PairSpec) -> dict[str, NetworkCost]:
    """By denoiser, small to large."""
    sizes = {}
    for spec in pair.denoisers:
        with torch.device("meta"):
            network = build_network(pair, spec)
        parameters = sum(p.numel() for p in network.parameters())
        sizes[spec.name] = NetworkCost(parameters, count_flops(network, pair.space.shape))
    return sizes
