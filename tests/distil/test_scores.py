"""The teacher's score beside the one that is trained."""

import copy

import pytest
import torch
from diffusers import UNet2DConditionModel

from tstitch.distil.scores import Scores
from tstitch.distil.settings import FakeSettings


def settings(kind: str) -> FakeSettings:
    own = {"kind": kind, "rank": 2, "alpha": 6, "learning_rate": 1e-3, "per_step": 1}
    return FakeSettings.parse(own | {"timesteps": [0, 1000], "null_share": 0.1}, "distil.fake")


@pytest.fixture
def unet(teacher):
    return UNet2DConditionModel.from_pretrained(teacher / "unet").eval().requires_grad_(False)


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    x_t, t = torch.randn(3, 4, 8, 8, generator=generator), torch.tensor([20, 500, 980])
    states = torch.randn(4, 9, 12, generator=generator)
    return x_t, t, states[:3], states[3:]


def guided(unet, x_t, t, states, null, scale):
    plain, asked = unet(x_t, t, null.expand(3, -1, -1)).sample, unet(x_t, t, states).sample
    return plain + scale * (asked - plain)


@pytest.mark.parametrize("kind", ["lora", "full"])
@torch.no_grad()
def test_the_teacher_stays_what_it_was(kind, unet, inputs):
    """Catches: an adapter that is on for the teacher, a fake score that shares its weights, one
    that does not begin as the teacher.
    """
    plain = copy.deepcopy(unet)
    scores = Scores(unet, settings(kind), seed=0)
    x_t, t, states, null = inputs
    before = plain(x_t, t, states).sample
    assert torch.equal(scores.teacher(x_t, t, states, null, 1.0), before)
    assert torch.equal(scores.predict(x_t, t, states), before)
    for parameter in scores.trained:
        parameter += 0.1 * torch.ones_like(parameter)
    assert torch.equal(scores.teacher(x_t, t, states, null, 1.0), before)
    found = scores.teacher(*inputs, 3.0)
    torch.testing.assert_close(found, guided(plain, *inputs, 3.0), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(scores.predict(x_t, t, states), before)
    assert not torch.allclose(scores.fake(*inputs, 3.0), found)


def test_what_is_trained(unet, inputs):
    """Catches: an adapter on other layers or of another strength, teacher's weights among those
    that the optimiser gets.
    """
    total = sum(p.numel() for p in unet.parameters())
    attention = [n for n, _ in unet.named_modules() if n.endswith(("to_q", "to_v"))]
    scores = Scores(unet, settings("lora"), seed=0)
    assert len(scores.trained) == 2 * len(attention) > 0
    layer = unet.get_submodule(attention[0])
    x = torch.randn(2, layer.in_features)
    with torch.no_grad():
        layer.lora_B["default"].weight.fill_(1.0)
        added = layer.lora_A["default"](x).sum(1, keepdim=True) * 6 / 2
        torch.testing.assert_close(layer(x), layer.base_layer(x) + added)
    scores.teacher(*inputs, 3.0)  # off and on again
    scores.predict(*inputs[:3]).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in scores.trained)
    other = UNet2DConditionModel.from_config(unet.config).requires_grad_(False)
    full = Scores(other, settings("full"), seed=0)
    assert sum(p.numel() for p in full.trained) == total
    assert not any(p.requires_grad for p in other.parameters())


def test_the_first_adapter_is_its_seeds(unet, teacher):
    """Catches: ranks or resumed trainings that begin with different adapters."""
    state = torch.get_rng_state()
    first = Scores(copy.deepcopy(unet), settings("lora"), seed=3).trained
    again = Scores(copy.deepcopy(unet), settings("lora"), seed=3).trained
    other = Scores(copy.deepcopy(unet), settings("lora"), seed=4).trained
    assert all(map(torch.equal, first, again)) and not all(map(torch.equal, first, other))
    assert torch.equal(state, torch.get_rng_state())
