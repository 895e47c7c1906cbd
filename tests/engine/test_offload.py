"""Networks that take turns on a device. A copy on the CPU stands for the one on the device."""

import torch
from torch import nn

from tstitch.engine.offload import TakingTurns

CPU = torch.device("cpu")


def networks():
    torch.manual_seed(0)
    return {name: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval() for name in "abc"}


def places(network):
    return {tensor.data_ptr() for tensor in (*network.parameters(), *network.buffers())}


def test_only_the_one_in_use_is_there():
    """Catches: networks that stay on the device when the next one comes, buffers left behind."""
    own = networks()
    host = {name: places(network) for name, network in own.items()}
    turns = TakingTurns(own, CPU)
    assert turns.present is None
    for name in ("a", "b", "a", "c", "b"):
        turns.bring(name)
        assert turns.present == name
        for other, network in own.items():
            if other == name:
                assert not places(network) & host[other]
            else:
                assert places(network) == host[other]


def test_nothing_is_copied_for_the_one_that_is_there():
    """Catches: a transfer at every step instead of at every change of the schedule."""
    own = networks()
    turns = TakingTurns(own, CPU)
    turns.bring("a")
    before = places(own["a"])
    turns.bring("a")
    assert places(own["a"]) == before


def test_predictions_stay_the_same():
    """Catches: weights that are mixed up or lost on the way."""
    own, x = networks(), torch.randn(3, 4)
    expected = {name: network(x) for name, network in own.items()}
    turns = TakingTurns(own, CPU)
    for name in ("c", "a", "c", "b", "a"):
        turns.bring(name)
        assert torch.equal(own[name](x), expected[name])
