"""The closed form of DDIM for noises that are predicted all at once."""

from itertools import product

import pytest
import torch
from diffusers import DDIMScheduler

from samplers import LinearVP, LoopFree, RectifiedFlow, ScaledLinearVP

SD = ScaledLinearVP()
FOUR = LoopFree.spaced(SD, 4)
# Plans of TiUE's release (leading) and their controls, to the digits of the published numbers.
TABLE = [
    (FOUR, (751, 501, 251, 1), 4.2346, (-2.4919, -0.9249, -0.6568, -0.0121)),
    (LoopFree.spaced(SD, 2), (501, 1), 1.906, (-1.582, -0.012)),
    (
        LoopFree.spaced(SD, 8),
        (876, 751, 626, 501, 376, 251, 126, 1),
        7.436,
        (-3.254, -1.605, -0.887, -0.547, -0.377, -0.296, -0.361, -0.012),
    ),
    (LoopFree.at(SD, [751]), (751,), 4.236, (-4.117,)),
    (LoopFree.at(SD, [999]), (999,), 14.649, (-14.615,)),
    (
        LoopFree.spaced(SD, 4, "trailing", clean=True),
        (999, 749, 499, 249),
        14.649,
        (-10.533, -2.469, -0.920, -0.693),
    ),
]


@pytest.mark.parametrize(("plan", "timesteps", "latent", "noises"), TABLE)
def test_published_plans(plan, timesteps, latent, noises):
    """Catches: another end of a step, which a student would be trained to undo."""
    assert plan.timesteps == timesteps
    assert plan.latent == pytest.approx(latent, abs=6e-4)
    assert plan.noises == pytest.approx(noises, abs=6e-4)


@pytest.mark.parametrize("process", [SD, LinearVP()], ids=["scaled_linear", "linear"])
@pytest.mark.parametrize(
    ("steps", "spacing"),
    [(1, "trailing"), *product([2, 3, 4, 7, 8, 13, 50], ["leading", "trailing"])],
)
@pytest.mark.parametrize(("offset", "clean"), [(1, False), (0, True)])
def test_scheduler_of_diffusers(process, spacing, steps, offset, clean):
    """Catches: timesteps or ends of steps that differ where N does not divide T."""
    plan = LoopFree.spaced(process, steps, spacing, offset=offset, clean=clean)
    scheduler = DDIMScheduler(
        beta_start=process.beta_start,
        beta_end=process.beta_end,
        beta_schedule="scaled_linear" if process == SD else "linear",
        timestep_spacing=spacing,
        steps_offset=offset,
        set_alpha_to_one=clean,
        clip_sample=False,
    )
    # Its tables are float32; float64 ones leave the rule alone to be compared.
    scheduler.alphas_cumprod = torch.from_numpy(process.alphas_cumprod)
    scheduler.final_alpha_cumprod = torch.ones(()) if clean else scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(steps)
    assert list(plan.timesteps) == scheduler.timesteps.tolist()
    draw = torch.Generator().manual_seed(0)
    z, eps = torch.randn(1 + steps, 2, 4, 3, 3, generator=draw, dtype=torch.float64).tensor_split(
        [1]
    )
    x = z = z[0]
    for t, own in zip(scheduler.timesteps, eps, strict=True):
        x = scheduler.step(own, t, x).prev_sample
    ours = plan(z, eps)
    # Timesteps of N = 7 and 13 do not meet: some steps overlap, as the scheduler's do.
    assert (ours - x).abs().max() < 1e-9 * max(1, x.abs().max().item())


def test_layouts_and_dtypes():
    """Catches: step-major noises read image by image, or coefficients rounded to 16 bits."""
    z, eps = torch.randn(2, 4, 3, 3), torch.randn(4, 2, 4, 3, 3)
    whole = FOUR(z, eps)
    assert torch.equal(FOUR(z, eps.flatten(0, 1)), whole)
    assert torch.equal(FOUR(z, eps.bfloat16()), FOUR(z, eps.bfloat16().float()))
    assert (FOUR(z.double(), eps.double()) - whole).abs().max() < 1e-5
    one = FOUR(z[:1], eps[:, :1])
    assert torch.equal(one, whole[:1])
    with pytest.raises(ValueError, match=r"predictions=\(3, 2, .* 4 steps for each of 2 images"):
        FOUR(z, eps[:3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LoopFree.spaced(SD, 1), r"timesteps=\[1\]: .*the noise itself.*trailing"),
        (lambda: LoopFree.at(SD, [1]), r"timesteps=\[1\]: .*the noise itself"),
        (lambda: LoopFree.at(SD, [1, 251, 501]), r"each below the one before"),
        (lambda: LoopFree.at(SD, [751, 751]), r"each below the one before"),
        (lambda: LoopFree.at(SD, []), r"timesteps=\[\]: choose one or more"),
        (lambda: LoopFree.at(SD, [1000]), r"timesteps=1000: .* 0 to 999"),
        (lambda: LoopFree.at(SD, [500.5]), r"timesteps=500.5: "),
        (lambda: LoopFree.at(SD, 751), r"timesteps=751: choose a list"),
        (lambda: LoopFree.spaced(SD, 0), r"steps=0: "),
        (lambda: LoopFree.spaced(SD, 4, "linspace"), r"spacing=linspace: choose leading or"),
        (lambda: LoopFree.spaced(SD, 4, offset=2), r"offset=2: "),
        (lambda: LoopFree.at(RectifiedFlow(), [751]), r"process=RectifiedFlow.*discrete VP"),
    ],
)
def test_plans_that_mean_nothing(make, words):
    """Catches: a student of pure noise in, pure noise out (TiUE's release with N = 1)."""
    with pytest.raises(ValueError, match=words):
        make()
