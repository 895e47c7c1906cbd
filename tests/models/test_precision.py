"""Networks in 16-bit dtypes: what is rounded and what is not."""

import pytest
import torch
from torch import nn

from models.dit import DiT
from models.precision import float32_products, lower_products


def dit():
    torch.manual_seed(0)
    network = DiT(
        input_size=8, in_channels=2, hidden_size=32, depth=2, num_heads=2, num_classes=5
    ).eval()
    for parameter in network.parameters():
        parameter.data.normal_(std=0.2)
    return network.requires_grad_(False)


def inputs():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, 8, 8, generator=generator)
    return x, torch.tensor([3.0, 500.0, 999.0]), torch.tensor([0, 4, 5])


def test_blocks_change_and_edges_stay():
    """Catches: a timestep, an input or a prediction that is rounded to 16 bits; blocks that are
    not in the dtype that was asked for."""
    network = lower_products(dit(), torch.bfloat16)
    for name, parameter in network.named_parameters():
        lowered = name.startswith("blocks.")
        assert parameter.dtype == (torch.bfloat16 if lowered else torch.float32), name
    assert network(*inputs()).dtype == torch.float32


def test_residual_stream_stays_full():
    """Catches: a network that is rounded as a whole, whose errors are twice as large."""
    exact = dit()(*inputs())
    mixed = lower_products(dit(), torch.bfloat16)(*inputs())
    x, t, y = inputs()
    whole = dit().bfloat16()(x.bfloat16(), t, y).float()
    error, other = ((found - exact).norm() / exact.norm() for found in (mixed, whole))
    assert 0 < error < 0.02 and error < 0.7 * other


def test_float32_changes_nothing():
    """Catches: hooks or copies in the exact engine."""
    network = dit()
    assert lower_products(network, torch.float32) is network
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert torch.equal(network(*inputs()), dit()(*inputs()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_networks_change_as_a_whole(dtype):
    """Catches: a user's convolutions that stay in float32 although 16 bits were asked for."""
    network = lower_products(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 4)), dtype)
    assert {parameter.dtype for parameter in network.parameters()} == {dtype}


@pytest.mark.parametrize("tf32", [True, False])
def test_products_of_a_block_leave_the_others_alone(tf32):
    """Catches: denoisers that run in TF32 once an image was decoded, or after an error there."""

    def state():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = state()
    with pytest.raises(ValueError, match="within"), float32_products(tf32):
        assert state() == ("high" if tf32 else "highest", tf32)
        raise ValueError("within")
    assert state() == before
