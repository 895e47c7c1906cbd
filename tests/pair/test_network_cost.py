"""What networks cost is counted once, and of the right ones."""

import sys

from torch import nn

from tstitch.config.cli import compose
from tstitch.pair import network_cost
from tstitch.pair.network_cost import network_costs
from tstitch.pair.spec import parse_pair


def costs(**changed):
    """Of the shipped pair, keys of the small network changed; `network` replaces it."""
    section = compose("sample", ["pair.denoisers.small.weights=random"])["pair"]
    small = section["denoisers"]["small"]
    small["network"] = changed.pop("network", small["network"]) | changed
    return network_costs(parse_pair(section))


def test_a_network_is_counted_once():
    """Catches: every point of a sweep that counts its networks anew; a count that is taken for a
    network of other arguments."""
    network_cost._count.cache_clear()
    first = costs()
    assert costs() == first and network_cost._count.cache_info().misses == 2
    deeper = costs(depth=9)
    assert deeper["small"].flops > first["small"].flops and deeper["large"] == first["large"]
    assert network_cost._count.cache_info().misses == 3


class Thin(nn.Module):
    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, width, padding=width // 2)

    def forward(self, x, t, y):
        return self.layer(x)


class Wide(Thin):
    def __init__(self) -> None:
        super().__init__(3)


def test_another_class_of_the_same_name(monkeypatch):
    """Catches: the FLOPs of a class that was written anew since, as in a notebook."""
    network = {"_target_": f"{__name__}.Thin"}
    assert costs(network=network)["small"].flops == 2 * 28 * 28
    monkeypatch.setattr(sys.modules[__name__], "Thin", Wide)
    assert costs(network=network)["small"].flops == 2 * 9 * 28 * 28
