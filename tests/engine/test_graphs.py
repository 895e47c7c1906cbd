"""CUDA graphs of a denoiser; they need a GPU."""

import pytest
import torch

from models.dit import DiT
from models.guidance import GuidedDenoiser
from tstitch.engine.graphs import GraphRecorder

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


def same(graphed, eager, steps):
    """Whether replays give the eager bits, for other values at every call."""
    kept = []
    with torch.inference_mode():
        for step, model in enumerate(steps):
            x = torch.randn(3, 4, 8, 8, device="cuda")
            y = torch.randint(10, (3,), device="cuda")
            t = 999.0 - 100.5 * step
            kept.append((graphed[model](x, t, y), eager[model](x, t, y)))
    return all(
        torch.equal(one, other)
        for found, expected in kept
        for one, other in zip(found, expected, strict=True)
    )


def test_replays_are_the_eager_bits():
    """Catches: a timestep, label or latent that is baked into the graph, a prediction that the
    next replay overwrites, two graphs in one pool that spoil each other."""
    recorder = GraphRecorder(torch.device("cuda", 0))
    eager = [denoiser(1, 128), denoiser(0, 64)]
    assert same([recorder.recorded(each) for each in eager], eager, (0, 0, 1, 0, 1, 1))


def test_recordings_that_were_dropped():
    """Catches: a memory pool or a stream's workspace that goes with the first recording, while
    later ones, or those of another recorder, still use it."""
    recorder, other = (GraphRecorder(torch.device("cuda", 0)) for _ in range(2))
    eager = [denoiser(1, 128), denoiser(0, 64)]
    kept = [other.recorded(each) for each in eager]
    assert same(kept, eager, (0, 1))
    for _ in range(2):
        assert same([recorder.recorded(each) for each in eager], eager, (0, 1, 0))
    assert same(kept, eager, (1, 0, 1))


def test_other_shapes_are_refused():
    """Catches: a batch of one that is copied into every row."""
    graphed = GraphRecorder(torch.device("cuda", 0)).recorded(denoiser(0, 64))
    y = torch.zeros(3, dtype=torch.int64, device="cuda")
    with torch.inference_mode():
        graphed(torch.randn(3, 4, 8, 8, device="cuda"), 5.0, y)
        with pytest.raises(ValueError, match=r"recorded for \(3, 4, 8, 8\)"):
            graphed(torch.randn(1, 4, 8, 8, device="cuda"), 5.0, y[:1])
