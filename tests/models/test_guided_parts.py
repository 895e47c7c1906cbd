"""Guided denoisers at several timesteps from one encoding."""

import pytest
import torch

from models.diffusers_denoiser import DiffusersDenoiser
from models.guidance import GuidedDenoiser

TEXTS, TIMES = 3, [801.0, 640.5, 333.0]


def denoiser(scale, dtype=torch.float32, **options):
    torch.manual_seed(0)
    network = DiffusersDenoiser(
        config={
            "_class_name": "UNet2DConditionModel",
            "in_channels": 3 * options.get("patch_size", 1) ** 2,
            "out_channels": 3 * options.get("patch_size", 1) ** 2,
            "block_out_channels": [8, 16],
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            "layers_per_block": 1,
            "norm_num_groups": 4,
            "attention_head_dim": 4,
            "cross_attention_dim": 12,
        },
        input_size=8,
        in_channels=3,
        num_classes=TEXTS,
        **options,
    )
    network.bind({"encoder_hidden_states": torch.randn(TEXTS + 1, 5, 12)})
    network = network.eval().requires_grad_(False).to(dtype)
    return GuidedDenoiser(network, scale=scale, channels=2, null_class=TEXTS)


KINDS = [
    (1.0, {}), (3.0, {}), (3.0, {"patch_size": 2}), (3.0, {"dtype": torch.bfloat16})
]  # fmt: skip


@pytest.mark.parametrize(("scale", "options"), KINDS)
def test_one_timestep_is_a_call(scale, options):
    """Catches: a key step with other bits than an ordinary one."""
    guided, x, y = denoiser(scale, **options), torch.randn(2, 3, 8, 8), torch.tensor([0, 2])
    [(eps, variance)] = guided.at_times(x, TIMES[:1], y)
    assert torch.equal(eps, guided(x, TIMES[0], y)[0]) and variance is None
    assert eps.dtype == x.dtype


@pytest.mark.parametrize(("scale", "options"), KINDS[:3])
def test_together_is_one_by_one(scale, options):
    """Catches: conditional and null rows, images or timesteps mixed up in the batch of all."""
    guided, x, y = denoiser(scale, **options), torch.randn(2, 3, 8, 8), torch.tensor([0, 2])
    together = guided.at_times(x, TIMES, y)
    both = (x, y) if scale == 1 else (torch.cat([x, x]), torch.tensor([0, 2, TEXTS, TEXTS]))
    rows = len(both[0])
    features = guided.network.encode(both[0], torch.full((rows,), TIMES[0]), both[1])
    for t, (eps, _) in zip(TIMES, together, strict=True):
        own = guided.network.decode(features, torch.full((rows,), t), both[1])
        if scale != 1:
            cond, null = own.chunk(2)
            own = cond.clone()
            own[:, :2] = null[:, :2] + scale * (cond[:, :2] - null[:, :2])
        assert (eps - own).abs().max() < 1e-5
    assert not torch.allclose(together[1][0], guided(x, TIMES[1], y)[0])


def test_which_networks_have_parts():
    """Catches: a network without an encoder of its own that is asked to encode."""
    assert denoiser(1.0).network.splits
    with torch.device("meta"):
        plain = DiffusersDenoiser(
            config={"_class_name": "UNet2DModel", "in_channels": 3, "out_channels": 3},
            input_size=8,
            in_channels=3,
        )
    assert not plain.splits
