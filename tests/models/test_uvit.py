"""The U-ViT against the published code's numbers, names and sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.cost.flops import count_flops
from models.precision import lower_products
from models.uvit import UViT, published

FIXTURES = Path(__file__).parent.parent / "fixtures"
META = json.loads((FIXTURES / "uvit_meta.json").read_text())
GOLDEN = np.load(FIXTURES / "uvit_forward.npz")
SMALL = ("a", "b")  # plain; with an MLP of time, biases and a convolution
PUBLISHED = ("U-ViT-L/2", "U-ViT-H/2")


def golden_network(name: str) -> UViT:
    """Filled as the reference was: every parameter, in sorted order."""
    network = UViT(**META[name]["config"]).eval()
    generator = torch.Generator().manual_seed(META[name]["seed"])
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for key in sorted(parameters):
            draw = torch.randn(parameters[key].shape, generator=generator)
            parameters[key].copy_(draw * 0.05)
    return network.requires_grad_(False)


def golden_inputs(name: str) -> list[torch.Tensor]:
    return [torch.from_numpy(GOLDEN[f"{name}/{key}"]) for key in ("x", "t", "y")]


def shapes(network: UViT) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", SMALL)
def test_forward_equals_the_reference(name):
    """Catches any change of numerics: order of tokens and skips, norms, unpatchify, the null."""
    out = golden_network(name)(*golden_inputs(name))
    expected = torch.from_numpy(GOLDEN[f"{name}/out"])
    torch.testing.assert_close(out, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_state_dict_is_the_published_one(name):
    """Catches a renamed, missing or misshaped parameter: public checkpoints would not load."""
    assert shapes(UViT(**META[name]["config"])) == META[name]["keys"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_variants_have_their_names_and_sizes(name):
    """Catches a wrong width or depth of a named variant."""
    with torch.device("meta"):
        network = published(name)
    assert shapes(network) == META[name]["keys"]
    assert sum(p.numel() for p in network.parameters()) == META[name]["parameters"]


def test_flops_are_counted_without_memory():
    """Catches a forward that reads values, which the counter of a pair's costs cannot have."""
    with torch.device("meta"):
        network = published("U-ViT-H/2")
    assert count_flops(network, (4, 32, 32)) == pytest.approx(2 * 133.2e9, rel=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_blocks_change_and_edges_stay(name):
    """Catches: a timestep, an input or a prediction that is rounded to 16 bits; blocks or skips
    that are not in the dtype that was asked for; a residual stream that is."""
    inputs, exact = golden_inputs(name), golden_network(name)
    network = lower_products(golden_network(name), torch.bfloat16)
    for key, parameter in network.named_parameters():
        linear = any(part in key for part in (".attn.", ".mlp.", ".skip_linear."))
        assert parameter.dtype == (torch.bfloat16 if linear else torch.float32), key
    streams = []
    for block in (*network.in_blocks, network.mid_block, *network.out_blocks):
        block.register_forward_hook(lambda _, __, out: streams.append(out.dtype))
    mixed, full = network(*inputs), exact(*inputs)
    assert mixed.dtype == torch.float32 and set(streams) == {torch.float32}
    x, t, y = inputs
    whole = golden_network(name).bfloat16()(x.bfloat16(), t, y).float()
    error, other = ((found - full).norm() / full.norm() for found in (mixed, whole))
    assert 0 < error < 0.02 and error < 0.7 * other


def test_is_traced_as_a_whole():
    """Catches: code that torch.compile breaks the graph at, such as a list of skips read late."""
    network, inputs = golden_network("b"), golden_inputs("b")
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), network(*inputs), atol=1e-6, rtol=1e-5)


def test_every_skip_is_used():
    """Catches: a block that merges the wrong skip, or none: the golden's two sizes have few."""
    network, inputs = golden_network("a"), golden_inputs("a")
    before = network(*inputs)
    for block in network.out_blocks:
        weight = block.skip_linear.weight
        kept = weight.clone()
        weight[:, weight.shape[0] :] = 0  # of the skip, behind the tokens'
        assert not torch.equal(network(*inputs), before)
        weight.copy_(kept)


def test_fractional_timesteps_are_not_rounded():
    """Catches a cast of t to integers: DPM-Solver evaluates between timesteps."""
    network, (x, _, y) = golden_network("a"), golden_inputs("a")
    outs = [network(x, torch.full((len(x),), t), y) for t in (500.0, 500.5, 501.0)]
    assert not torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[1], outs[2])


def test_networks_that_count_from_one_are_told_so():
    """Catches: U-ViT-H at a neighbour of its timestep, 0 for the 1 that it has seen."""
    network, (x, t, y) = golden_network("a"), golden_inputs("a")
    shifted = UViT(**META["a"]["config"], first_timestep=1).eval().requires_grad_(False)
    shifted.load_state_dict(network.state_dict())
    assert torch.equal(shifted(x, t, y), network(x, t + 1, y))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"patch_size": 3}, "patch_size=3"),
        ({"hidden_size": 50, "num_heads": 4}, "hidden_size=50"),
        ({"hidden_size": 15, "num_heads": 3}, "hidden_size=15"),
        ({"depth": 3}, "depth=3"),
        ({"depth": 0}, "depth=0"),
        ({"patch_size": 0}, "patch_size=0"),
        ({"num_heads": 0}, "num_heads=0"),
        ({"depth": "2"}, "depth=2"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(arguments, field):
    """Catches a shape error deep inside torch instead of a named field."""
    with pytest.raises(ValueError, match=f"^{field}: "):
        UViT(**{"input_size": 8, "depth": 2, "hidden_size": 16, "num_heads": 2, **arguments})


@pytest.mark.parametrize("name", ["U-ViT-S/2", "U-ViT-H/3", "H/2", "U-ViT-H"])
def test_unknown_variants_are_refused(name):
    """Catches a silent default for a misspelt variant."""
    with pytest.raises(ValueError, match=f"^variant={name}: choose one of U-ViT-L/2"):
        published(name)
