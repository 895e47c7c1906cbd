"""How far two denoisers are apart along the large one's trajectories."""

import pytest
import torch

from samplers import DDIM, Fraction, Heun, LinearVP, PerImageRandomness, RectifiedFlow
from tstitch.sampling.batch import Batch
from tstitch.sampling.disagreement import disagreement

PAIR = {"stitch": Fraction(fraction=1), "num_models": 2}


def drawn(size=3, padding=0, sizes=(2, 4, 4)):
    randomness = PerImageRandomness(0, range(size + padding), sizes)
    y = torch.zeros(size + padding, dtype=torch.int64)
    return Batch(size, randomness.initial(), y, randomness.step)


def large(x, t, y):
    return 0.8 * x + 0.1, None


def wrong_by(part):
    """A small denoiser whose prediction is a part of the large one's off."""
    return lambda x, t, y: ((1 + part(t)) * large(x, t, y)[0], None)


def test_relative_to_the_large_prediction():
    """Catches: an absolute norm, one relative to the small denoiser, a trajectory that the small
    one walks, padding that counts as images."""
    sampler = DDIM(6, process=LinearVP(), **PAIR)
    small = wrong_by(lambda t: 0.1 + t / 1000)
    found = disagreement(sampler, [small, large], drawn(padding=2), "eps")
    expected = torch.tensor([0.1 + step.t / 1000 for step in sampler.plan]).double()
    assert found.shape == (6, 3) and found.dtype == torch.float64
    torch.testing.assert_close(found, expected[:, None].expand(6, 3), rtol=1e-4, atol=0)


@pytest.mark.parametrize("process", [LinearVP(), RectifiedFlow()])
def test_another_prediction_gives_another_order(process):
    """Catches: the comparison of what the networks happen to predict, whatever is asked for."""
    sampler = Heun(6, process=process, **PAIR)
    small, seen = wrong_by(lambda t: 0.1), []

    def watched(x, t, y):
        seen.append((x.clone(), t))
        return large(x, t, y)

    given, batch = process.prediction, drawn()
    wanted = "velocity" if given == "eps" else "eps"
    found = disagreement(sampler, [small, watched], batch, wanted)
    by_hand = []
    for x, t in seen:
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        own = large(x, t, None)[0]
        if given == "eps":  # velocity = eps - x_0, with x = alpha x_0 + sigma eps
            factor, ours = 1 + sigma / alpha, own - (x - sigma * own) / alpha
        else:
            factor, ours = alpha, x + alpha * own
        norms = (0.1 * own).flatten(1).norm(dim=1) * factor / ours.flatten(1).norm(dim=1)
        by_hand.append(norms.double())
    steps = [torch.stack(by_hand[k : k + 2]).mean(0) for k in range(0, 11, 2)]
    torch.testing.assert_close(found, torch.stack(steps), rtol=1e-4, atol=1e-6)
    same = disagreement(sampler, [small, large], drawn(), given)
    torch.testing.assert_close(same, torch.full_like(same, 0.1), rtol=1e-4, atol=0)
    assert found.mean(1).max() > 1.5 * found.mean(1).min()
