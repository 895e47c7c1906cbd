"""The arithmetic of a network against the formula of a transformer."""

import pytest
import torch

from evaluation.cost.flops import count_flops
from models.dit import SIZES, DiT, published

LATENT = (4, 32, 32)


def macs_by_hand(width: int, depth: int, *, tokens: int, patch: int, channels: int) -> dict:
    """Multiply-adds of one DiT forward: those of linear layers, and of attention products."""
    block = tokens * (3 + 1 + 4 + 4) * width**2 + 6 * width**2  # qkv, projection, MLP; adaLN
    ends = tokens * patch**2 * channels * width + tokens * width * patch**2 * 2 * channels
    condition = 256 * width + width**2 + 2 * width**2  # timestep MLP; adaLN of the last layer
    return {
        "linear": depth * block + ends + condition,
        "attention": depth * 2 * tokens**2 * width,  # q k^T and its product with v
    }


@pytest.mark.parametrize(
    ("size", "gmacs", "linear_gmacs"), [("S", 6.06, 5.45), ("B", 23.01, 21.8), ("XL", 118.6, 114.5)]
)
def test_published_denoisers(size, gmacs, linear_gmacs):
    """Catches: attention that is not counted, multiply-adds reported as FLOPs, a guided batch."""
    width, depth, _ = SIZES[size]
    expected = macs_by_hand(width, depth, tokens=256, patch=2, channels=4)
    with torch.device("meta"):
        network = published(f"DiT-{size}/2").eval()
    assert count_flops(network, LATENT) == 2 * sum(expected.values())
    assert sum(expected.values()) / 1e9 == pytest.approx(gmacs, abs=0.05)
    assert expected["linear"] / 1e9 == pytest.approx(linear_gmacs, rel=0.005)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_counts_the_same_fused_or_not(fused):
    """Catches: fused attention, one operator, that the counter does not know."""
    with torch.device("meta"):
        network = DiT(
            input_size=28, in_channels=1, patch_size=4, hidden_size=64, depth=4, num_heads=2,
            num_classes=10,
        )  # fmt: skip
    for block in network.blocks:
        block.attn.fused_attn = fused
    expected = macs_by_hand(64, 4, tokens=49, patch=4, channels=1)
    assert count_flops(network, (1, 28, 28)) == 2 * sum(expected.values())


def test_other_networks():
    """Catches: a formula for DiT in place of a count."""
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1, device="meta")
    flops = count_flops(lambda x, t, y: convolution(x), (3, 10, 10))
    assert flops == 2 * 10 * 10 * 8 * 3 * 9
