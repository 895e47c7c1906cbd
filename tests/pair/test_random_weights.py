"""weights=random: every trainable parameter filled, the same on every rank and machine."""

import pytest
import torch

from tstitch.config.cli import compose
from tstitch.maker.parse import parse_experiment
from tstitch.pair.spec import load_network


@pytest.fixture
def load():
    """load(name, threads): the shipped pair's network with random weights."""
    pair = parse_experiment(compose("sample", [])).pair
    specs = {spec.name: spec for spec in pair.denoisers}
    before = torch.get_num_threads()

    def loaded(name: str, threads: int = 1):
        torch.set_num_threads(threads)
        return load_network(pair, specs[name], None)

    yield loaded
    torch.set_num_threads(before)


def test_random_weights_do_not_depend_on_threads_or_the_global_state(load):
    """Catches: a stream shared by threads that take turns, ranks with other weights."""
    torch.manual_seed(1)
    first = load("small", threads=1).state_dict()
    torch.manual_seed(2)
    again = load("small", threads=3).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_every_trainable_parameter_is_filled(load):
    """Catches: layers left at zero, which hides mistakes; one stream for all parameters."""
    network = load("large")
    plain = dict(network.named_parameters())
    table = plain.pop("pos_embed")  # fixed
    assert table.abs().max() <= 1 and table.std() > 0.5
    assert all(parameter.any() for parameter in plain.values())
    values = torch.cat([parameter.flatten() for parameter in plain.values()])
    assert values.std().item() == pytest.approx(0.02, rel=0.01)
    blocks = network.blocks
    assert not torch.equal(blocks[0].attn.qkv.weight, blocks[1].attn.qkv.weight)
