"""Arms of a student against the scheduler that they are steps of."""

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from models.unet_split import decode, encode
from samplers import ScaledLinearVP
from tstitch.distil.plan import ARMS, FREE, student_plan, timesteps_of


@pytest.fixture(scope="module")
def unet(teacher):
    return UNet2DConditionModel.from_pretrained(teacher / "unet").double()


@pytest.fixture(scope="module")
def inputs():
    """Noise of three images and what their captions mean."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 4, 8, 8, generator=generator, dtype=torch.float64)
    return z, torch.randn(3, 9, 12, generator=generator, dtype=torch.float64)


def plan_of(arm: str):
    return student_plan(ScaledLinearVP(), arm, *timesteps_of(arm, None, None))


def scheduler_of(arm: str, own: dict) -> DDIMScheduler:
    options = {"timestep_spacing": "trailing"} if arm == "Utr" else {"timestep_spacing": "leading"}
    options["set_alpha_to_one"] = arm == "Utr"
    scheduler = DDIMScheduler.from_config(own | options)
    scheduler.set_timesteps(4)
    return scheduler


@pytest.mark.parametrize("arm", ["U", "Utr", "M4"])
@torch.no_grad()
def test_four_steps_are_those_of_diffusers(arm, unet, inputs, scheduler_config):
    """Catches: other timesteps or another end than the released students', decoders in another
    order, a caption of another image, an encoder at another timestep.
    """
    z, states = inputs
    scheduler, x = scheduler_of(arm, scheduler_config), z
    features = encode(unet, z, scheduler.timesteps[0], states)
    expected = []
    for t in scheduler.timesteps:
        shared = arm != "M4"
        eps = decode(unet, features, t, states) if shared else unet(x, t, states).sample
        x = scheduler.step(eps, t, x).prev_sample
        expected.append(eps)
    plan = plan_of(arm)
    assert plan.timesteps == tuple(scheduler.timesteps.tolist())
    x_0, noises = plan(unet, z, states)
    torch.testing.assert_close(noises, torch.stack(expected), rtol=1e-4, atol=1e-5)
    # Its betas are float32.
    torch.testing.assert_close(x_0, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("arm", "t"), [("O999", 999), ("O751", 751)])
@torch.no_grad()
def test_one_step_is_the_clean_prediction(arm, t, unet, inputs):
    """Catches: the gain of another timestep, an end at the noise of t = 0."""
    z, states = inputs
    alpha_bar = ScaledLinearVP().alphas_cumprod[t]
    expected = (z - (1 - alpha_bar) ** 0.5 * unet(z, t, states).sample) / alpha_bar**0.5
    x_0, noises = plan_of(arm)(unet, z, states)
    torch.testing.assert_close(x_0, expected)
    assert noises.shape == (1, *z.shape)


def test_three_decoders_lack_the_last(inputs, unet):
    """Catches: an arm without the decoder that counts."""
    assert plan_of("U3").timesteps == plan_of("U").timesteps[:3]


def test_gradients_reach_all_of_the_network(unet, inputs):
    """Catches: features that are cut off from their encoder, a decoder that learns nothing."""
    z, states = inputs
    for arm in (arm for arm in ARMS if arm != FREE):
        unet.zero_grad()
        plan_of(arm)(unet, z, states)[0].square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in unet.conv_in.parameters())
        assert all(p.grad is not None for p in unet.parameters())
