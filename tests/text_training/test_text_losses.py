"""What the stages minimise and measure, on cases that can be worked out."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from samplers import ScaledLinearVP
from tstitch.config.cli import compose
from tstitch.data.emoji_set import emoji_set
from tstitch.text_training.autoencoder import Fidelity, latent_scale
from tstitch.text_training.cache import Cache
from tstitch.text_training.consistency import ConsistencyErrors, ConsistencyLoss
from tstitch.text_training.denoiser import (
    CaptionsOfAnyStyle,
    NoiseErrors,
    NoiseLoss,
    own_captions,
)
from tstitch.text_training.encoder import ContrastiveLoss, Retrieval, moved
from tstitch.text_training.networks import build_scheduler
from tstitch.text_training.settings import TextSettings
from tstitch.training.latents import to_float
from tstitch.training.loop import step_generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(atlases):
    return emoji_set(str(atlases), 16)


class Knowing(nn.Module):
    """A dual encoder that knows which image each text (its number) belongs to, or errs by one."""

    def __init__(self, data, shift: int = 0) -> None:
        super().__init__()
        self.images, self.shift = to_float(data.images).flatten(1), shift

    def forward(self, tokens, images):
        count = len(self.images)
        seen = torch.cdist(images.flatten(1), self.images).argmin(1)
        texts = (tokens[:, 0] + self.shift) % count
        return torch.eye(count)[texts], torch.eye(count)[seen]

    def scale(self):
        return torch.tensor(100.0)


def numbered(data):
    """Each caption's tokens are its number, then the end (-1)."""
    numbers = torch.arange(len(data.captions))
    return torch.stack([numbers, torch.full_like(numbers, -1)], 1)


def test_contrast(data):
    """Catches: texts compared with other images than their own, one of both ways left out."""
    loss = ContrastiveLoss(data, numbered(data), -1, 0)
    indices, generator = data.training()[:6], step_generator(0, 0, 0)
    assert loss(Knowing(data), indices, generator) < 1e-6
    assert loss(Knowing(data, 1), indices, generator) > 10


def test_retrieval(data):
    """Catches: training images among the measured ones, a rate that is always or never 1."""
    found = Retrieval(data, numbered(data), CPU)(Knowing(data))
    assert found["image_found"] == found["caption_found"] == found["cosine"] == 1.0
    assert Retrieval(data, numbered(data), CPU)(Knowing(data, 1))["cosine"] == 0.0


def test_images_are_moved_over_white(data):
    """Catches: shapes that come in again on the other side, a move that is always the same."""
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    found = {tuple(moved(images, 2, step_generator(0, k, 0)).float().mean((0, 1, 2)).tolist())
             for k in range(20)}  # fmt: skip
    assert len(found) > 3
    assert all(set(moved(images, 2, step_generator(0, k, 0)).unique().tolist()) <= {0, 255}
               for k in range(5))  # fmt: skip
    assert moved(images, 0, step_generator(0, 0, 0)) is images


class Doubling(nn.Module):
    """An autoencoder without loss whose latents are twice the image, plus an error."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def encode(self, images):
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=2 * images))

    def decode(self, latents):
        return SimpleNamespace(sample=latents / 2 + self.error)


def test_fidelity(data):
    """Catches: a PSNR of another range than that of -1..1, a scale that is no inverse."""
    found = Fidelity(data, CPU)(Doubling(-0.02))
    expected = -10 * math.log10(0.02**2 / 4)
    assert found["psnr"] == pytest.approx(expected, abs=0.5)  # black cannot become darker
    images = data.images[data.training()]
    scale = latent_scale(Doubling(0.0), images, CPU)
    assert scale == pytest.approx(1 / (2 * to_float(images).std().item()), rel=1e-5)


def test_captions_of_any_style(data):
    """Catches: captions of other subjects, a style that is never drawn."""
    captions = CaptionsOfAnyStyle(data, CPU)
    indices = torch.arange(len(data.captions)).repeat(40)
    drawn = captions(indices, step_generator(0, 0, 0))
    assert torch.equal(data.subjects[drawn], data.subjects[indices])
    for style in range(len(data.style_names)):
        share = (data.styles[drawn] == style).double().mean()
        assert 0.25 < share < 0.42


class Telling(nn.Module):
    """A U-Net that is told x_0 by the text, and adds an error to the noise it works out."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error
        self.table = torch.from_numpy(ScaledLinearVP().alphas_cumprod).float()
        self.empty: list[bool] = []

    def forward(self, x_t, t, states):
        shares = self.table[t][:, None, None, None]
        self.empty += (states[:, 0, -1] == 1).tolist()
        x_0 = states[:, 0, :-1].reshape(x_t.shape)
        eps = (x_t - shares.sqrt() * x_0) / (1 - shares).sqrt()
        return SimpleNamespace(sample=eps + self.error)


@pytest.fixture(scope="module")
def cache():
    """Latents of 18 images; the state of a caption is its latent, of the empty text a mark."""
    latents = torch.randn(18, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    told = torch.cat([latents.flatten(1), torch.zeros(18, 1)], 1)
    states = torch.cat([told, torch.eye(17)[-1:]])[:, None]
    return Cache(latents, states, {})


def noise_loss(cache, *overrides: str) -> NoiseLoss:
    config = compose("train_text", list(overrides))
    settings = TextSettings.parse(config["text"]).large
    return NoiseLoss(cache, settings, own_captions, CPU)


def test_noise_loss(cache):
    """Catches: captions of other images, alpha in place of alpha_bar, weights off by a square."""
    indices, generator = torch.arange(18), step_generator(0, 0, 0)
    told = ("text.large.label_dropout=0", "text.large.noise_weight_limit=1")
    assert noise_loss(cache, *told)(Telling(0.0), indices, generator) < 1e-6
    assert noise_loss(cache, *told)(Telling(0.5), indices, generator) == pytest.approx(
        0.25, rel=1e-3
    )
    noisy = ("text.large.label_dropout=0", "text.large.noise_weight_limit=3")
    noisy += ("text.large.timesteps=[900,1000]",)
    weighted = noise_loss(cache, *noisy)(Telling(0.5), indices, generator)
    assert weighted == pytest.approx(0.75, rel=1e-3)


def test_captions_are_dropped(cache):
    """Catches: guidance without an empty text to be guided from, or with one at every step."""
    loss, network = noise_loss(cache, "text.large.label_dropout=0.3"), Telling(0.0)
    for step in range(40):
        loss(network, torch.arange(18), step_generator(0, step, 0))
    share = sum(network.empty) / len(network.empty)
    assert 0.25 < share < 0.35


class Silent(nn.Module):
    """A U-Net that sees no noise: its x_0 is x_t / alpha. Notes which calls may learn."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.learns = nn.Parameter(torch.zeros(())), []

    def forward(self, x_t, t, states):
        self.learns.append(torch.is_grad_enabled())
        return SimpleNamespace(sample=self.scale * x_t)


def consistency_loss(cache, teacher, guidance=1.0, ddim_steps=2) -> ConsistencyLoss:
    names = (f"text.lcm.guidance={guidance}", f"text.lcm.ddim_steps={ddim_steps}")
    settings = TextSettings.parse(compose("train_text", list(names))["text"]).lcm
    return ConsistencyLoss(cache, teacher, settings, CPU)


def test_who_knows_is_consistent(cache):
    """Catches: a target at another image or text; an x_0 of the wrong alpha."""
    loss = consistency_loss(cache, Telling(0.7), guidance=3.0, ddim_steps=50)
    found = loss(Telling(0.0), torch.arange(18), step_generator(0, 0, 0))
    assert found < 5e-3  # at the last step what is kept of x_t is noise


def test_consistency_is_that_of_one_step_of_ddim(cache):
    """Catches: a teacher's step to another timestep, a target that learns, a loss of squares."""
    generator, indices = step_generator(0, 0, 0), torch.arange(18)
    network = Silent()
    found = consistency_loss(cache, Telling(0.0))(network, indices, generator)
    assert network.learns == [False, True]
    generator = step_generator(0, 0, 0)
    t = 500 * torch.randint(2, (18,), generator=generator) + 499
    eps = torch.randn(18, 4, 2, 2, generator=generator)
    shares = torch.from_numpy(ScaledLinearVP().alphas_cumprod).float()

    def noise_over_signal(at):
        return (1 / shares[at] - 1).sqrt()[:, None, None, None]

    late = (noise_over_signal(t) - noise_over_signal((t - 500).clamp_min(0))) * eps
    kept = t == 499  # leads to t = 0, whose x_t is kept as it is
    x_0 = cache.latents
    first = x_0 + noise_over_signal(t) * eps
    first -= shares[0].sqrt() * x_0 + (1 - shares[0]).sqrt() * eps
    expected = torch.where(kept[:, None, None, None], first, late).abs().mean()
    assert found.item() == pytest.approx(expected.item(), rel=2e-3)


@pytest.mark.parametrize("steps", [2, 4])
def test_students_learn_what_the_scheduler_takes(cache, steps):
    """Catches: an x_0 at other timesteps, or mixed in another way, than LCM's sampler has."""
    from diffusers import LCMScheduler

    scheduler = LCMScheduler.from_config(build_scheduler().config)
    scheduler.set_timesteps(steps)
    network = Silent()
    network.scale.data.fill_(0.3)
    loss = consistency_loss(cache, Telling(0.0), ddim_steps=50)
    x_t = cache.latents
    for t in scheduler.timesteps:
        assert (t + 1) % 20 == 0  # as drawn in training
        made = loss.x_0(network, x_t, t.expand(18), cache.states[:18])
        expected = scheduler.step(0.3 * x_t, t, x_t).denoised
        torch.testing.assert_close(made, expected, rtol=2e-4, atol=2e-4)
    kept = loss.x_0(network, x_t, torch.zeros(18, dtype=torch.int64), cache.states[:18])
    torch.testing.assert_close(kept, x_t)


def test_the_teacher_is_guided(cache):
    """Catches: a student of the unguided teacher; a scale that the empty text is given."""
    indices = torch.arange(18)
    found = [
        consistency_loss(cache, Telling(0.0), guidance)(Silent(), indices, step_generator(0, 0, 0))
        for guidance in (0.0, 1.0, 3.0)
    ]
    assert found[0] != found[1] != found[2]
    teacher = Telling(0.0)
    consistency_loss(cache, teacher)(Silent(), indices, step_generator(0, 0, 0))
    assert teacher.empty == [True] * 18 + [False] * 18


def test_consistency_errors_are_of_held_out_images(data, cache):
    """Catches: errors measured on what was learned, or other draws at every call."""
    network = Silent()
    measure = ConsistencyErrors(data, consistency_loss(cache, Telling(0.0)))
    found = measure(network)
    assert found == measure(network)
    changed = Cache(cache.latents.clone(), cache.states.clone(), {})
    changed.latents[data.training()] = 9.0
    assert ConsistencyErrors(data, consistency_loss(changed, Telling(0.0)))(network) == found


def test_noise_errors_are_of_held_out_images(data, cache):
    """Catches: errors that are measured on what was learned, or that change from call to call."""
    measure = NoiseErrors(data, cache, CPU)
    found = measure(Telling(0.5))
    assert found["mse"] == pytest.approx(0.25, rel=1e-2)
    kept = data.kept()
    changed = Cache(cache.latents.clone(), cache.states.clone(), {})
    changed.states[data.training()] = 9.0
    assert NoiseErrors(data, changed, CPU)(Telling(0.5)) == found == measure(Telling(0.5))
    changed.states[kept] = 9.0
    assert NoiseErrors(data, changed, CPU)(Telling(0.5)) != found
