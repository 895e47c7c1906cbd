"""`pipe.unet.compile()` compiles each network, and the choice stays outside."""

import pytest
import torch
from tiny_families import FAMILIES

from tstitch import realised, stitch, unstitch


@pytest.mark.slow
@pytest.mark.parametrize("how", ["whole", "blocks"])
def test_compiled_networks(how):
    """Catches: a graph with a break at the stitch, a step of the wrong network's graph, a network
    that is left out."""
    family = FAMILIES["FLUX"]
    torch._dynamo.reset()
    pipe = stitch(family.make("large"), family.network("small"), 0.4)
    eager = family.run(pipe)
    if how == "whole":
        pipe.transformer.compile(backend="aot_eager", fullgraph=True)
    else:
        pipe.transformer.compile_repeated_blocks(backend="aot_eager", fullgraph=True)
    torch._dynamo.utils.counters.clear()
    found = family.run(pipe)
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] >= 2 and not counters["graph_break"]
    assert (found - eager).abs().max() < 1e-4
    assert realised(pipe).models == (0,) * 4 + (1,) * 6
    assert torch.equal(family.run(pipe), found)
    stitch(pipe, pipe.transformer._diffusers_hook.get_hook("tstitch").smaller[0], 0.2)
    family.run(pipe)
    assert realised(pipe).models.count(0) == 2
    if how == "whole":
        unstitch(pipe)
        assert (family.run(pipe) - family.run(family.make("large"))).abs().max() < 1e-4
