"""Agreement with diffusers where, given the same chain, both compute the same thing."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from oracle import run

from samplers import DDIM, DDPM, DPMSolver, LinearVP, spaced_timesteps

# diffusers keeps its tables in float32; alpha_bar at t = 999 is 4e-5, hence not closer.
CLOSE = {"atol": 2e-4, "rtol": 2e-4}


def chain_config(steps, spacing):
    """The respaced chain as a diffusers chain of its own: timestep k is the k-th of ours."""
    betas = LinearVP().respaced(spaced_timesteps(steps, spacing, 1000))[0][::-1]
    return {
        "num_train_timesteps": steps,
        "trained_betas": betas.copy(),
        "clip_sample": False,
        "steps_offset": 0,
    }


def noise_source(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    return generator, lambda: torch.randn(shape, generator=generator)


@pytest.mark.parametrize(("steps", "spacing"), [(10, "respaced"), (21, "respaced"), (30, "ddim")])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(stand_ins, single, steps, spacing, eta):
    """Catches: an error shared by the goldens' authors' code and ours; eta mis-scaled."""
    x = x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    sampler = DDIM(steps, spacing, eta, **single)
    scheduler = DDIMScheduler(set_alpha_to_one=True, **chain_config(steps, spacing))
    scheduler.set_timesteps(steps)
    generator, _ = noise_source(1, x.shape)
    for k, step in zip(scheduler.timesteps.tolist(), sampler.plan, strict=True):
        eps = stand_ins[0](x, step.t, None)[0]
        x = scheduler.step(eps, k, x, eta=eta, generator=generator).prev_sample
    ours = run(sampler, stand_ins[:1], x_T, noise_source(1, x.shape)[1])
    torch.testing.assert_close(ours, x, **CLOSE)


@pytest.mark.parametrize("steps", [10, 21])
@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_ddpm(stand_ins, single, steps, variance):
    """Catches: small and large swapped, or log variances mixed the wrong way round."""
    x = x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    learned = variance == "learned"

    def denoiser(x, t, y):
        eps, logits = stand_ins[0](x, t, y)
        return eps, logits if learned else None

    sampler = DDPM(steps, variance="small" if learned else variance, **single)
    kind = "learned_range" if learned else f"fixed_{variance}"
    scheduler = DDPMScheduler(variance_type=kind, **chain_config(steps, "respaced"))
    scheduler.set_timesteps(steps)
    generator, _ = noise_source(1, x.shape)
    for k, step in zip(scheduler.timesteps.tolist(), sampler.plan, strict=True):
        eps, logits = denoiser(x, step.t, None)
        output = torch.cat([eps, logits], dim=1) if learned else eps
        x = scheduler.step(output, k, x, generator=generator).prev_sample
    ours = run(sampler, [denoiser], x_T, noise_source(1, x.shape)[1])
    torch.testing.assert_close(ours, x, **CLOSE)


@pytest.mark.parametrize("algorithm", ["dpmpp", "dpm"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_dpm_solver(stand_ins, single, algorithm, order):
    """Catches: a wrong third-order or noise-prediction update, for which no golden exists.

    With 27 steps, a divisor of 999, uniform time visits integer timesteps 999, 962, .., 37 and
    ends at t = 0; diffusers is given just these.
    """
    x = x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    sampler = DPMSolver(27, "time", algorithm, order, **single)
    scheduler = DPMSolverMultistepScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        solver_order=order,
        algorithm_type={"dpmpp": "dpmsolver++", "dpm": "dpmsolver"}[algorithm],
        solver_type="midpoint",
        lower_order_final=False,
        final_sigmas_type="sigma_min",
    )
    scheduler.set_timesteps(timesteps=list(range(999, 0, -37)))
    np.testing.assert_allclose([step.t for step in sampler.plan], scheduler.timesteps, atol=1e-9)
    for t in scheduler.timesteps:
        x = scheduler.step(stand_ins[0](x, float(t), None)[0], t, x).prev_sample
    ours = run(sampler, stand_ins[:1], x_T)
    torch.testing.assert_close(ours, x, **CLOSE)
