"""Autoguidance on Gaussian data, where what it gives is known exactly, and which denoisers it asks.

Two denoisers of N(mu, s^2) with one s and two mu predict what is affine in mu: extrapolated, they
are the denoiser of the extrapolated mu.
"""

from dataclasses import replace

import pytest
import torch
from oracle import Gaussian

from samplers import (
    DDIM,
    PREDICTIONS,
    DPMSolver,
    Euler,
    Explicit,
    Heun,
    LinearVP,
    Matching,
    RectifiedFlow,
    sample,
)
from samplers.autoguidance import Autoguidance

SMALL, LARGE, SCALE = 0.1, 0.4, 1.7
EXTRAPOLATED = SMALL + SCALE * (LARGE - SMALL)
MODELS = (1, 0, 1, 1, 1, 0, 1, 1)
# At the pure noise of a flow eps does not tell x_0, so that no guide of one predicts it.
GUIDES = [(LinearVP(), prediction) for prediction in PREDICTIONS]
GUIDES += [
    (RectifiedFlow(shift=3), prediction) for prediction in PREDICTIONS if prediction != "eps"
]
KINDS = {
    "ddim": lambda **k: DDIM(8, **k),
    "euler": lambda **k: Euler(8, **k),
    "dpmpp": lambda **k: DPMSolver(8, order=2, **k),
    "heun": lambda **k: Heun(8, **k),
}


def trajectory(sampler, gaussians, guided=list):
    """x_0 from fixed noise (5, 1, 1, 1), by denoisers on their own processes."""
    x = torch.linspace(-2, 2, 5, dtype=torch.float64).reshape(5, 1, 1, 1)
    matched = [Matching(sampler, g.process, g.prediction)(g) for g in gaussians]
    return sample(sampler, guided(matched), sampler.process.prior_std * x, None, lambda: None)


@pytest.mark.parametrize(("own", "prediction"), GUIDES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_denoiser_of_the_extrapolated_data(kind, own, prediction):
    """Catches: predictions of two kinds or of two latents that are mixed before they are converted,
    roles swapped, a step of the guide that is guided."""
    guide = Gaussian(own, prediction, mu=SMALL)
    large = Gaussian(mu=LARGE)
    options = {"process": LinearVP(), "stitch": Explicit(models=MODELS), "num_models": 2}
    sampler = KINDS[kind](**options)
    guided = Autoguidance(guide=0, scale=SCALE, channels=1)
    found = trajectory(sampler, [guide, large], guided)
    expected = trajectory(sampler, [replace(large, mu=SMALL), replace(large, mu=EXTRAPOLATED)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


class Constant:
    """Predicts one number, and another as variance logits; remembers what it was asked."""

    def __init__(self, value):
        self.value = value
        self.asked = []

    def __call__(self, x, t, y):
        self.asked.append((x, t, y))
        return torch.full_like(x, self.value), torch.full_like(x, 10 * self.value)


@pytest.mark.parametrize(("channels", "guided"), [(1, 1), (3, 3), (9, 4)])
def test_channels_and_variance(channels, guided):
    """Catches: channels beyond the guided ones, or a variance, that are not the large one's; the
    guide asked at another place."""
    small, large = Constant(1.0), Constant(3.0)
    _, denoiser = Autoguidance(guide=0, scale=2.0, channels=channels)([small, large])
    x, y = torch.randn(2, 4, 3, 3), torch.tensor([5, 6])
    prediction, variance = denoiser(x, 70.5, y)
    assert (prediction[:, :guided] == 5).all() and (prediction[:, guided:] == 3).all()
    assert (variance == 30).all()
    (asked,) = small.asked
    assert asked[0] is x and asked[1] == 70.5 and asked[2] is y


def test_only_denoisers_after_the_guide_are_guided():
    """Catches: a denoiser pushed away from a better one, or from itself."""
    three = [Constant(1.0), Constant(2.0), Constant(4.0)]
    guided = Autoguidance(guide=1, scale=3.0, channels=1)(three)
    x, y = torch.zeros(1, 1, 2, 2), torch.tensor([0])
    assert [float(d(x, 5.0, y)[0].mean()) for d in guided] == [1.0, 2.0, 8.0]
    assert [len(d.asked) for d in three] == [1, 2, 1]


def test_scale_one_asks_no_guide():
    """Catches: an evaluation that nothing comes of, and a last bit that it changes."""
    small, large = Constant(0.1), Constant(0.3)
    denoisers = Autoguidance(guide=0, scale=1.0, channels=1)([small, large])
    assert denoisers == [small, large]
