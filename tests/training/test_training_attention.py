"""Which kernel attention has while a U-Net is trained."""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tstitch.training.attention import MOST_PLACES, training_attention

CPU = torch.device("cpu")


def gradients(context):
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(2, 2, 9, 4, generator=generator).requires_grad_() for _ in range(3)]
    with context:
        F.scaled_dot_product_attention(*parts).square().sum().backward()
    return torch.stack([part.grad for part in parts])


@pytest.mark.parametrize(("places", "is_plain"), [(0, True), (MOST_PLACES + 1, False)])
def test_plain_products_for_small_maps(places, is_plain):
    """Catches: gradients of another kernel than is said, or tables of many gigabytes."""
    found = gradients(training_attention(CPU, places))
    plain = gradients(sdpa_kernel(SDPBackend.MATH))
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-4)
    with training_attention(CPU, places):
        assert torch.backends.cuda.flash_sdp_enabled() is not is_plain
