"""Gaussian data under every sampler, process and prediction: exact limits, measured orders."""

import numpy as np
import pytest
import torch
from oracle import Gaussian, run

from samplers import (
    DDIM,
    DDPM,
    EDM,
    PREDICTIONS,
    VPSDE,
    DPMSolver,
    Euler,
    Fraction,
    Fractions,
    Heun,
    LinearVP,
    RectifiedFlow,
    ScaledLinearVP,
    sample,
)

LINEAR, SCALED, SDE, FLOW, SHIFTED, KARRAS = (
    LinearVP(),
    ScaledLinearVP(),
    VPSDE(),
    RectifiedFlow(),
    RectifiedFlow(shift=3),
    EDM(),
)
SINGLE = {"stitch": Fractions(fractions=[1]), "num_models": 1}
GRID = torch.linspace(-2, 2, 9, dtype=torch.float64)
KINDS = {
    "ddpm": lambda n, **k: DDPM(n, **k),
    "ddim": lambda n, **k: DDIM(n, **k),
    "ddim eta 1": lambda n, **k: DDIM(n, eta=1.0, **k),
    "euler": lambda n, **k: Euler(n, **k),
    "heun": lambda n, **k: Heun(n, **k),
    "dpmpp1": lambda n, **k: DPMSolver(n, order=1, **k),
    "dpmpp2": lambda n, **k: DPMSolver(n, order=2, **k),
    "dpmpp3": lambda n, **k: DPMSolver(n, order=3, **k),
    "dpmpp2 logsnr": lambda n, **k: DPMSolver(n, "logsnr", order=2, **k),
    "dpm1": lambda n, **k: DPMSolver(n, algorithm="dpm", order=1, **k),
    "dpm2": lambda n, **k: DPMSolver(n, algorithm="dpm", order=2, **k),
    "dpm2 logsnr": lambda n, **k: DPMSolver(n, "logsnr", "dpm", 2, **k),
}
PROCESSES = [LINEAR, SCALED, SDE, FLOW, SHIFTED, KARRAS]
# What is not defined is refused: test_sampler_inputs.py.
CASES = [
    (name, process)
    for name in KINDS
    for process in PROCESSES
    if not (name.startswith("dd") and process not in (LINEAR, SCALED))
    and not (name.endswith("logsnr") and process in (FLOW, SHIFTED))
    and not (name in ("dpm1", "dpm2") and process in (FLOW, SHIFTED, KARRAS))
]
# Orders seen from 200 to 400 steps. Uniform time is not uniform in what a solver expands in: lambda
# without bound at a flow's ends, tau = sigma / alpha with a root at the clean end of VP.
ORDERS = {
    **{("euler", process): (1, 0.05) for process in PROCESSES},
    ("heun", LINEAR): (1.66, 0.05),
    ("heun", SCALED): (1.46, 0.05),
    ("heun", SDE): (1.66, 0.05),
    **{("heun", process): (2, 0.15) for process in (FLOW, SHIFTED, KARRAS)},
    ("dpmpp1", SHIFTED): (1, 0.05),
    ("dpmpp2", SCALED): (1.72, 0.05),
    ("dpmpp2", SDE): (2, 0.1),
    ("dpmpp2", FLOW): (1.8, 0.05),
    ("dpmpp2", SHIFTED): (1.65, 0.05),
    ("dpmpp2", KARRAS): (2, 0.15),
    ("dpmpp3", FLOW): (2.23, 0.05),
    ("dpm2", SCALED): (1.73, 0.05),
    ("dpm2", SDE): (2, 0.1),
    **{("dpmpp2 logsnr", process): (2, 0.05) for process in (SCALED, SDE, KARRAS)},
    **{("dpm2 logsnr", process): (2, 0.05) for process in (SCALED, SDE, KARRAS)},
}


def start(sampler):
    """GRID as a sample of the marginal at the first timestep."""
    mean, std = Gaussian(sampler.process).marginal(sampler.plan[0].t)
    return float(mean) + float(std) * GRID


def error(name, process, steps):
    """The largest distance from where the probability flow ends."""
    sampler = KINDS[name](steps, process=process, **SINGLE)
    x, exact = start(sampler), Gaussian(process, "v")
    end = process.times(steps, "logsnr" if name.endswith("logsnr") else "time")[-1]
    return (run(sampler, [exact], x) - exact.flow(x, sampler.plan[0].t, end)).abs().max().item()


@pytest.mark.parametrize(("name", "process"), ORDERS, ids=str)
def test_order(name, process):
    """Catches: a coefficient that is wrong on one process; an order lost at its ends."""
    expected, tolerance = ORDERS[name, process]
    errors = [error(name, process, steps) for steps in (200, 400)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(expected, abs=tolerance)
    assert errors[1] < 0.01


@pytest.mark.parametrize(("name", "process"), CASES, ids=str)
def test_predictions_are_interchangeable(name, process):
    """Catches: a prediction that is handed on unconverted, or converted at the wrong timestep."""
    sampler = KINDS[name](12, process=process, **SINGLE)
    results = {}
    for prediction in PREDICTIONS:
        if prediction == "eps" and process in (FLOW, SHIFTED):
            continue  # tells nothing at pure noise: refused
        generator = torch.Generator().manual_seed(0)

        def noise(generator=generator):
            return torch.randn(GRID.shape, generator=generator, dtype=GRID.dtype)

        results[prediction] = run(sampler, [Gaussian(process, prediction)], start(sampler), noise)
    for x_0 in results.values():
        torch.testing.assert_close(x_0, results["v"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inner", [LINEAR, SCALED, SDE, KARRAS], ids=str)
def test_a_pair_of_two_processes(inner):
    """Catches: a switch between processes that leaves the trajectory; more steps must repair it.

    The small denoiser knows the noise process `inner`, the sampler and the large one a flow.
    """
    errors = []
    for steps in (50, 200):
        pair = {"stitch": Fraction(fraction=0.4), "num_models": 2}
        sampler = Euler(steps, process=FLOW, **pair)
        assert 0 < sum(step.model == 0 for step in sampler.plan) < steps
        small, large = Gaussian(inner, "eps"), Gaussian(FLOW, "velocity")
        x_0 = run(sampler, [small, large], start(sampler))
        errors.append((x_0 - large.flow(start(sampler), 1000.0, None)).abs().max().item())
    assert errors[1] < errors[0] / 3.5 and errors[1] < 0.01


def test_pure_noise_has_the_deviation_of_the_process():
    """Catches: trajectories of EDM that begin with unit noise at sigma = 80."""
    for process in PROCESSES:
        _, std = Gaussian(process).marginal(process.t_max)
        assert process.prior_std == pytest.approx(std, rel=0.005)


def test_edm_heun_is_algorithm_1():
    """Catches: an average of slopes in other coordinates than the paper's."""
    sampler = Heun(18, process=KARRAS, **SINGLE)
    x = expected = start(sampler)
    denoise = Gaussian(KARRAS, "x0")
    times = KARRAS.times(18).tolist()
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        d = (expected - denoise(expected, t, None)[0]) / t
        predicted = expected + (t_next - t) * d
        if t_next > 0:
            d_next = (predicted - denoise(predicted, t_next, None)[0]) / t_next
            predicted = expected + (t_next - t) * (d + d_next) / 2
        expected = predicted
    torch.testing.assert_close(run(sampler, [denoise], x), expected, rtol=0, atol=1e-10)


def test_heun_evaluates_each_step_twice_but_the_last():
    """Catches: NFE that counts steps, a step split between denoisers, a 2N-th evaluation."""
    calls = []

    def recorder(model):
        def denoiser(x, t, y):
            calls.append((t, model))
            return torch.zeros_like(x), None

        return denoiser

    pair = {"stitch": Fraction(fraction=0.5), "num_models": 2}
    sampler = Heun(4, process=FLOW, **pair)
    sample(sampler, [recorder(0), recorder(1)], GRID, None, None)
    times, models = [1000, 750, 750, 500, 500, 250, 250], [0, 0, 0, 0, 1, 1, 1]
    assert [(step.t, step.model) for step in sampler.plan] == list(zip(times, models, strict=True))
    assert calls == list(zip(times, models, strict=True)) and sampler.steps == 4
    assert Heun(1, process=FLOW, **SINGLE).steps == 1


def test_first_order_solvers_are_one():
    """Catches: Euler along `Process.line` unlike DPM-Solver's first order, which is DDIM."""
    for process in PROCESSES:
        exact, results = Gaussian(process, "v"), []
        for name in ("euler", "dpmpp1"):
            sampler = KINDS[name](30, process=process, **SINGLE)
            results.append(run(sampler, [exact], start(sampler)))
        torch.testing.assert_close(*results, rtol=0, atol=1e-10)
