"""A training that begins as a smaller network."""

import pytest
import torch

from models.checkpoints import save_weights
from models.dit import DiT
from tstitch.runtime.errors import UserError
from tstitch.training.grow import grow_network

SIZES = {"input_size": 8, "in_channels": 1, "patch_size": 4, "num_heads": 2, "num_classes": 3}


def random_dit(**sizes) -> DiT:
    network = DiT(**{**SIZES, "hidden_size": 16, "depth": 2, **sizes})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    return network.eval()


@pytest.fixture
def smaller(tmp_path):
    """A network and the file of its weights."""
    network = random_dit()
    path = tmp_path / "small.safetensors"
    save_weights(network.state_dict(), path, dtype=torch.float32, metadata={})
    return network, path


@pytest.mark.parametrize("sizes", [{"depth": 4}, {"mlp_ratio": 5.5}, {"depth": 3, "mlp_ratio": 6}])
def test_predictions_are_kept_and_can_change(smaller, sizes):
    """Catches: blocks with open gates, hidden units that speak, new weights that never learn."""
    network, path = smaller
    grown = DiT(**{**SIZES, "hidden_size": 16, "depth": 2, **sizes})
    grow_network(grown, path, "train.init")
    x, t, y = torch.randn(5, 1, 8, 8), torch.tensor([0, 10, 400, 800, 999]), torch.arange(5) % 4
    torch.testing.assert_close(grown(x, t, y), network(x, t, y), atol=1e-5, rtol=1e-4)
    grown(x, t, y).square().sum().backward()
    fresh = "blocks.2.adaLN_modulation.1.weight" if "depth" in sizes else "blocks.0.mlp.fc2.weight"
    gradient = dict(grown.named_parameters())[fresh].grad
    assert gradient[..., -1].abs().max() > 0


def test_averaged_weights_are_grown(smaller, tmp_path):
    """Catches: raw weights, or a prefix, in the one place where names and shapes may differ."""
    network, _ = smaller
    averaged, raw = network.state_dict(), random_dit().state_dict()
    content = {"model": raw, "ema": {f"module.{name}": value for name, value in averaged.items()}}
    torch.save(content, tmp_path / "c.pt")
    grown = random_dit(depth=3, mlp_ratio=6)
    grow_network(grown, tmp_path / "c.pt", "train.init")
    name = "blocks.1.attn.qkv.weight"
    assert torch.equal(grown.state_dict()[name], averaged[name])
    torch.save(content | {"model_ema": raw}, tmp_path / "c.pt")
    with pytest.raises(UserError, match="'ema/module.' and 'model_ema'"):
        grow_network(grown, tmp_path / "c.pt", "train.init")


@pytest.mark.parametrize("sizes", [{"hidden_size": 32}, {"depth": 1}, {"mlp_ratio": 2.0},
                                   {"num_classes": 4}, {"patch_size": 2}])  # fmt: skip
def test_what_cannot_grow_is_refused(smaller, sizes):
    """Catches: weights cut to fit, blocks dropped without a word."""
    _, path = smaller
    other = DiT(**{**SIZES, "hidden_size": 16, "depth": 2, **sizes})
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(UserError, match="train.init=.*only its depth and mlp_ratio") as caught:
        grow_network(other, path, "train.init")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_training_begins_where_the_smaller_one_ended(tmp_path, trained):
    """Catches: an option that the command does not read."""
    first = trained(tmp_path / "small")
    depth, options = (
        "pair.denoisers.small.network.depth=2",
        ["train.steps=1", "train.decay_steps=0"],
    )
    init = [f"train.init={first / 'ema.safetensors'}", "train.learning_rate=0"]
    grown = trained(tmp_path / "grown", depth, "train.grow=true", *init, *options)
    before = torch.load(first / "checkpoint.pt")["ema"]
    after = torch.load(grown / "checkpoint.pt")["model"]
    assert not (before.keys() - after.keys()) and any("blocks.1." in name for name in after)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=0.02, rtol=0.02)  # stored in bfloat16
