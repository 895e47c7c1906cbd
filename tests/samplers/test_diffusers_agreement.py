"""Agreement with diffusers where, given the same chain, both compute the same thing."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)
from oracle import run

from samplers import (
    DDIM,
    DDPM,
    DPMSolver,
    Euler,
    Fractions,
    Heun,
    LinearVP,
    Matching,
    RectifiedFlow,
    ScaledLinearVP,
    sample,
    spaced_timesteps,
)

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


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_as_ldm_samples(stand_ins, eta):
    """Catches: a last step to clean data where LDM's ends at the noise of t = 0."""
    betas = {"beta_start": 0.0015, "beta_end": 0.0195}
    x = x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    stitch = Fractions(fractions=[1])
    sampler = DDIM(20, "ldm", eta, process=ScaledLinearVP(**betas), stitch=stitch, num_models=1)
    scheduler = DDIMScheduler(
        **betas,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(20)
    generator, _ = noise_source(1, x.shape)
    assert scheduler.timesteps.tolist() == [step.t for step in sampler.plan]
    for t in scheduler.timesteps:
        eps = stand_ins[0](x, float(t), None)[0]
        x = scheduler.step(eps, t, x, eta=eta, generator=generator).prev_sample
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


SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def follow(scheduler, denoiser, x, network_t=float):
    """x_0 of a diffusers scheduler that has its timesteps."""
    for t in scheduler.timesteps:
        x = scheduler.step(denoiser(x, network_t(t), None)[0], t, x).prev_sample
    return x


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_scaled_linear_ddim(stand_ins, single, prediction):
    """Catches: Stable Diffusion's betas, or v-prediction, unlike everybody's."""
    x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    names = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
    scheduler = DDIMScheduler(
        **SCALED, clip_sample=False, prediction_type=names[prediction], timestep_spacing="leading"
    )
    scheduler.set_timesteps(50)
    sampler = DDIM(50, "ddim", **single | {"process": ScaledLinearVP()})
    assert [step.t for step in sampler.plan] == scheduler.timesteps.tolist()
    denoiser = Matching(sampler, ScaledLinearVP(), prediction)(stand_ins[0])
    ours = sample(sampler, [denoiser], x_T, None, None)
    torch.testing.assert_close(ours, follow(scheduler, stand_ins[0], x_T), **CLOSE)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_scaled_linear_dpm_solver(stand_ins, single, order):
    """Catches: a solver that still has the linear schedule somewhere."""
    x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler = DPMSolverMultistepScheduler(
        **SCALED, solver_order=order, lower_order_final=False, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(timesteps=list(range(999, 0, -37)))
    sampler = DPMSolver(27, order=order, **single | {"process": ScaledLinearVP()})
    ours = run(sampler, stand_ins[:1], x_T)
    torch.testing.assert_close(ours, follow(scheduler, stand_ins[0], x_T), **CLOSE)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 4, 28])
def test_flow_euler(stand_ins, single, shift, steps):
    """Catches: a shift applied to t but not to sigma, a last step that stops short of 0."""
    x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    sampler = Euler(steps, **single | {"process": RectifiedFlow(shift=shift)})
    np.testing.assert_allclose([step.t for step in sampler.plan], scheduler.timesteps, rtol=1e-6)
    ours = sample(sampler, stand_ins[:1], x_T, None, None)
    torch.testing.assert_close(ours, follow(scheduler, stand_ins[0], x_T), **CLOSE)


def test_flow_heun(stand_ins, single):
    """Catches: a correction from the wrong end, or at the last step."""
    x_T = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler = FlowMatchHeunDiscreteScheduler()
    scheduler.set_timesteps(10)
    sampler = Heun(10, **single | {"process": RectifiedFlow()})
    # Its last evaluation is at t = 1 where ours is at 100: the same times are given to both.
    sigmas = torch.linspace(1, 0.1, 10)
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2), torch.zeros(1)])
    scheduler.timesteps = 1000 * scheduler.sigmas[:-1]
    assert len(scheduler.timesteps) == len(sampler.plan) == 19
    ours = sample(sampler, stand_ins[:1], x_T, None, None)
    torch.testing.assert_close(ours, follow(scheduler, stand_ins[0], x_T), **CLOSE)
