"""Networks that are built without their first random values."""

import pytest
import torch
from torch import nn

from models.blank import blank_parameters
from models.dit import DiT


class Odd(nn.Module):
    """What a user's network may hold: a fixed random table, a random buffer, ones."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(64), requires_grad=False)
        self.register_buffer("frequencies", torch.empty(64).normal_())
        self.norm = nn.LayerNorm(8)
        self.late = nn.Parameter(torch.empty(8))
        nn.init.trunc_normal_(tensor=self.late, std=0.02)
        self.late.requires_grad_(False)
        self.conv = nn.Conv2d(1, 2, 3)


def test_only_trainable_random_parameters_are_left_blank():
    """Catches: buffers or fixed tables of zeros, parameters of whatever the memory held."""
    with blank_parameters():
        odd = Odd()
    assert odd.table.std() > 0.5 and odd.frequencies.std() > 0.5
    assert (odd.norm.weight == 1).all()
    assert not odd.late.any() and not odd.conv.weight.any() and not odd.conv.bias.any()
    assert Odd().conv.weight.any()  # and only within the block


def test_a_filled_network_is_the_same():
    """Catches: a position table, or a structure, that a blank network lacks."""
    sizes = {"input_size": 8, "hidden_size": 32, "depth": 2, "num_heads": 2, "num_classes": 5}
    whole = DiT(**sizes)
    with blank_parameters():
        blank = DiT(**sizes)
    assert torch.equal(blank.pos_embed, whole.pos_embed)
    blank.load_state_dict(whole.state_dict())
    for name, value in whole.state_dict().items():
        assert torch.equal(blank.state_dict()[name], value), name


def test_errors_leave_initialisation_as_it_was():
    """Catches: a network refused in the block, after which all networks are zero."""
    with pytest.raises(ValueError, match="patch_size"), blank_parameters():
        DiT(input_size=7)
    assert nn.Linear(4, 4).weight.any()
