"""CUDA graphs of a denoiser; they need a GPU."""

import pytest
import torch

from models.dit import DiT
from models.guidance import GuidedDenoiser
from tstitch.engine.graphs import GraphedDenoiser

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def denoiser(seed, width):
    torch.manual_seed(seed)
    network = DiT(
        input_size=8, in_channels=4, hidden_size=width, depth=2, num_heads=2, num_classes=10
    )
    for parameter in network.parameters():
        parameter.data.normal_(std=0.1)
    network = network.cuda().eval().requires_grad_(False)
    return GuidedDenoiser(network, scale=1.5, channels=3, null_class=10)


def test_replays_are_the_eager_bits():
    """Catches: a timestep, label or latent that is baked into the graph, a prediction that the
    next replay overwrites, two graphs in one pool that spoil each other."""
    pool = torch.cuda.graph_pool_handle()
    eager = [denoiser(0, 64), denoiser(1, 128)]
    graphed = [GraphedDenoiser(each, pool) for each in eager]
    kept = []
    with torch.inference_mode():
        for step, model in enumerate((0, 0, 1, 0, 1, 1)):
            x = torch.randn(3, 4, 8, 8, device="cuda")
            y = torch.randint(10, (3,), device="cuda")
            t = 999.0 - 100.5 * step
            kept.append((graphed[model](x, t, y), eager[model](x, t, y)))
    for found, expected in kept:
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
