"""Compiled networks in 16 bits on the CPU."""

import copy

import pytest
import torch
from torch._dynamo.utils import counters

from models.dit import DiT
from models.precision import lower_products
from tstitch.engine.compiled import compiled


def random_dit():
    """Two blocks whose modulation is not zero, as it is before any training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DiT(
            input_size=8, in_channels=1, hidden_size=64, depth=2, num_heads=2, num_classes=3
        )
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


@pytest.mark.slow
def test_bfloat16_is_as_exact_as_uncompiled():
    """Catches: attention or GELU in another form that rounds worse, a network that is compiled
    again for every timestep, fused attention switched off for the uncompiled network."""
    exact, plain = random_dit(), lower_products(random_dit(), torch.bfloat16)
    counters.clear()
    fast = compiled(copy.deepcopy(plain), torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((4, 1, 8, 8), generator=generator)
    y = torch.tensor([0, 1, 2, 3])
    with torch.inference_mode():
        for t in (999.0, 501.5, 0.0):
            times = torch.full((4,), t)
            expected = exact(x, times, y)
            errors = [float((n(x, times, y) - expected).norm()) for n in (fast, plain)]
            assert 0 < errors[0] < 1.5 * errors[1]
    assert counters["stats"]["unique_graphs"] == 1
    assert plain.blocks[0].attn.fused_attn


def test_attention_stays_fused_elsewhere():
    """Catches: float32 on the CPU, or a GPU's network that waits in host memory for its turn,
    with the attention of 16 bits on the CPU."""
    for network, device in (
        (random_dit(), "cpu"),
        (lower_products(random_dit(), torch.bfloat16), "cuda"),
    ):
        compiled(network, torch.device(device))
        assert network.blocks[0].attn.fused_attn
