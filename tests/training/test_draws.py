"""What a step draws, its learning rate, and the moving average."""

import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

from tstitch.config.cli import compose
from tstitch.data.datasets import StepBatches, epoch_order
from tstitch.training.ema import Ema
from tstitch.training.loop import draw, step_generator
from tstitch.training.settings import TrainSettings


@lru_cache
def settings(*overrides: str) -> TrainSettings:
    config = compose("train", [f"train.{override}" for override in overrides])
    return TrainSettings.parse(config["train"], context={"denoisers": ["small", "large"]})


def draws(seed=0, step=0, rank=0, n=64, **fields):
    x_0, y = torch.zeros(n, 1, 2, 2), torch.arange(n) % 10
    choice = settings(*(f"{k}={v}" for k, v in fields.items()))
    return draw(x_0, y, choice, 10, step_generator(seed, step, rank))


def test_draws_are_a_function_of_seed_step_and_rank():
    """Catches: the global generator, one stream for all ranks, sums of seed and step."""
    torch.manual_seed(1)
    first = draws(seed=3, step=5, rank=1)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, draws(seed=3, step=5, rank=1), strict=True))
    others = [(3, 5, 0), (3, 6, 1), (4, 5, 1), (4, 4, 1), (3, 1, 5), (5, 3, 1)]
    noises = [first[1]] + [draws(seed=s, step=i, rank=r)[1] for s, i, r in others]
    assert len({tuple(noise.flatten().tolist()) for noise in noises}) == len(noises)


def test_draws_on_the_cpu_are_the_published_ones():
    """Catches: another order of draws, which would train other weights than those shipped."""
    t, eps, y = draws(seed=3, step=5, n=8, label_dropout=0.5)
    assert t.tolist() == [102, 235, 315, 405, 597, 652, 865, 952]
    assert eps.flatten()[:4].tolist() == pytest.approx([0.8011, 1.2478, -0.6629, 0.3384], abs=1e-4)
    assert y.tolist() == [0, 10, 2, 3, 10, 5, 10, 7]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_draws_on_a_gpu_are_a_function_of_seed_step_and_rank():
    """Catches: noise drawn on the host, or from the device's global generator."""
    x_0, y = torch.zeros(64, 1, 2, 2, device="cuda"), torch.zeros(64, dtype=int, device="cuda")
    once, again = (draw(x_0, y, settings(), 10, step_generator(3, 5, 1, "cuda")) for _ in range(2))
    assert all(v.is_cuda for v in once)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_timesteps_are_uniform_over_0_to_999():
    """Catches: 999 or 0 never drawn, a batch that is not spread over the range."""
    t = torch.stack([draws(step=i, n=50)[0] for i in range(2000)])  # (2000, 50)
    counts = torch.bincount(t.flatten(), minlength=1000)
    assert len(counts) == 1000 and counts.min() > 40 and counts.max() < 180
    assert t.double().mean().item() == pytest.approx(499.5, abs=0.5)
    assert torch.equal((t // 20).sort(dim=1).values, torch.arange(50).expand(2000, 50))
    assert draws(n=1)[0].dtype == torch.int64


def test_a_share_of_the_timesteps_is_drawn_from_the_focus():
    """Catches: a share of the batch instead of the draws, a focus outside of its span, other
    noise and labels than without it."""
    fields = {"focus": "[600,900]", "focus_share": 0.4}
    t = torch.cat([draws(step=i, n=50, **fields)[0] for i in range(400)])
    inside = ((t >= 600) & (t < 900)).double().mean().item()
    assert inside == pytest.approx(0.4 + 0.6 * 0.3, abs=0.01)
    every = draws(n=64, focus="[600,900]", focus_share=1.0)
    assert every[0].min() >= 600 and every[0].max() < 900
    assert all(torch.equal(a, b) for a, b in zip(every[1:], draws(n=64)[1:], strict=True))
    assert torch.equal(draws(n=64, focus="[600,900]")[0], draws(n=64)[0])


def test_noise_is_standard_normal():
    """Catches: uniform noise, noise shared by the images of a batch."""
    eps = draws(n=20000)[1]
    assert eps.mean().abs() < 0.02 and abs(eps.std() - 1) < 0.02
    assert eps.flatten(1).unique(dim=0).shape[0] == 20000


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_label_dropout(rate):
    """Catches: another null class than num_classes, the rate of kept labels, changed labels."""
    y = draws(n=20000, label_dropout=rate)[2]
    dropped = y == 10
    assert dropped.double().mean().item() == pytest.approx(rate, abs=0.01 if 0 < rate < 1 else 0)
    assert torch.equal(y[~dropped], (torch.arange(20000) % 10)[~dropped])


@pytest.mark.parametrize(
    ("warmup", "decay", "expected"),
    [
        (0, 0, [2.0] * 8),
        (4, 0, [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]),
        (0, 4, [2.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 0.5]),
        (2, 4, [1.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.0, 0.5]),
        (8, 8, [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]),
    ],
)
def test_learning_rate_schedule(warmup, decay, expected):
    """Catches: a first or last step of rate zero, a decay that starts one step off."""
    chosen = settings(
        "steps=8", f"warmup_steps={warmup}", f"decay_steps={decay}", "learning_rate=2.0"
    )
    assert [chosen.learning_rate_at(step) for step in range(8)] == pytest.approx(expected)


def test_ema_warm_up_and_decay():
    """Catches: initial weights that dominate, a step counted from one, swapped weights."""
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(8.0)
        ema, expected = Ema(network, 0.3), 8.0
        for step, value in enumerate([1.0, -2.0, 5.0, 0.5, 7.0]):
            network.weight.fill_(value)
            ema.update(network, step)
            decay = min(0.3, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * value
    assert [min(0.3, (1 + s) / (10 + s)) for s in range(5)][-2:] == [0.3, 0.3]
    assert ema.weights["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 7.0


def test_ema_is_a_copy():
    """Catches: an average that shares memory with the network and so is the network."""
    network = nn.Linear(2, 2)
    ema = Ema(network, 0.999)
    before = ema.weights["weight"].clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    assert torch.equal(ema.weights["weight"], before)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [6, 12, 30])
def test_every_image_once_per_epoch_over_all_ranks(world, batch_size):
    """Catches: shares that overlap or leave out images, an epoch cut off at its end."""
    num_items, steps = 20, math.lcm(20, batch_size) // batch_size * 2
    ranks = [
        list(
            StepBatches(
                num_items, batch_size=batch_size, seed=1, steps=range(steps), rank=r, world=world
            )
        )
        for r in range(world)
    ]
    assert all(len(b) == batch_size // world for share in ranks for b in share)
    merged = [
        [share[step][k] for k in range(batch_size // world) for share in ranks]
        for step in range(steps)
    ]
    stream = np.concatenate(merged)
    epochs = stream.reshape(-1, num_items)
    assert all(sorted(epoch) == list(range(num_items)) for epoch in epochs)
    assert np.array_equal(epochs[1], epoch_order(num_items, 1, 1))
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("first", [0, 1, 5, 9])
def test_batches_from_a_later_step(first):
    """Catches: a resumed run that starts the epoch over."""
    whole = list(StepBatches(7, batch_size=4, seed=2, steps=range(10), rank=1, world=2))
    late = StepBatches(7, batch_size=4, seed=2, steps=range(first, 10), rank=1, world=2)
    assert list(late) == whole[first:] and len(late) == 10 - first
    other = StepBatches(7, batch_size=4, seed=3, steps=range(10), rank=1, world=2)
    assert list(other) != whole
