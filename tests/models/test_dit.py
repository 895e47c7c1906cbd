"""The DiT against the published code's numbers, names and sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.dit import DiT, published
from models.guidance import GuidedDenoiser

FIXTURES = Path(__file__).parent.parent / "fixtures"
META = json.loads((FIXTURES / "dit_meta.json").read_text())
GOLDEN = np.load(FIXTURES / "dit_forward.npz")
SMALL = [name for name, entry in META.items() if "config" in entry]
PUBLISHED = [name for name in META if name.startswith("DiT-")]


def golden_network(name: str) -> DiT:
    """Filled as the reference was: every parameter but the fixed table, in sorted order."""
    network = DiT(**META[name]["config"]).eval()
    generator = torch.Generator().manual_seed(1235)
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for key in sorted(parameters):
            if key != "pos_embed":
                draw = torch.randn(parameters[key].shape, generator=generator)
                parameters[key].copy_(draw * 0.05)
    return network


@pytest.mark.parametrize("name", SMALL)
def test_state_dict_is_the_published_one(name):
    """Catches a renamed, missing or misshaped parameter: public checkpoints would not load."""
    state = DiT(**META[name]["config"]).state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == META[name]["keys"]


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_forward_equals_the_reference(name):
    """Catches any change of numerics: embeddings, table order, modulation, unpatchify."""
    x, t, y, out = (torch.from_numpy(GOLDEN[f"{name}/{key}"]) for key in ("x", "t", "y", "out"))
    torch.testing.assert_close(golden_network(name)(x, t, y), out, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_guidance_equals_the_reference():
    """Catches another guided-channel convention: the published code guides three of four."""
    name = "tiny"
    x, y = (torch.from_numpy(GOLDEN[f"{name}/{key}"]) for key in ("x", "y"))
    expected = torch.from_numpy(GOLDEN[f"{name}/cfg_out"])[:2]
    null = META[name]["config"]["num_classes"]
    denoiser = GuidedDenoiser(golden_network(name), scale=1.5, channels=3, null_class=null)
    eps, variance = denoiser(x[:2], 300.0, torch.tensor([1, 2]))
    torch.testing.assert_close(torch.cat([eps, variance], 1), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_variants_have_their_sizes(name):
    """Catches a wrong width, depth or head count of a named variant."""
    with torch.device("meta"):
        network = published(name)
    assert sum(p.numel() for p in network.parameters()) == META[name]["params"]
    keys = network.state_dict().keys()
    assert len(keys) == META[name]["n_keys"]
    assert set(META[name]["keys_sample"]) <= set(keys)


def test_fresh_network_predicts_zero():
    """Catches a lost adaLN-Zero initialisation, which makes training unstable."""
    network = DiT(input_size=8, hidden_size=16, depth=1, num_heads=2, num_classes=3)
    out = network(torch.randn(2, 4, 8, 8), torch.tensor([0.0, 999.0]), torch.tensor([0, 3]))
    assert out.shape == (2, 8, 8, 8)
    assert not out.any()


@torch.no_grad()
def test_fractional_timesteps_are_not_rounded():
    """Catches a cast of t to integers: DPM-Solver evaluates between timesteps."""
    network = golden_network("tiny")
    x, y = torch.randn(1, 4, 8, 8), torch.tensor([1])
    outs = [network(x, torch.tensor([t]), y) for t in (500.0, 500.5, 501.0)]
    assert not torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[1], outs[2])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"patch_size": 3}, "patch_size=3"),
        ({"hidden_size": 50, "num_heads": 4}, "hidden_size=50"),
        ({"patch_size": 0}, "patch_size=0"),
        ({"num_heads": 0}, "num_heads=0"),
        ({"depth": 1.5}, "depth=1.5"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(arguments, field):
    """Catches a shape error deep inside torch instead of a named field."""
    with pytest.raises(ValueError, match=f"^{field}: "):
        DiT(**{"input_size": 8, "depth": 1, "hidden_size": 16, "num_heads": 2, **arguments})


@pytest.mark.parametrize("name", ["DiT-M/2", "DiT-S/3", "S/2", "DiT-S"])
def test_unknown_variants_are_refused(name):
    """Catches a silent default for a misspelt variant."""
    with pytest.raises(ValueError, match=f"^variant={name}: choose one of DiT-S/2"):
        published(name)
