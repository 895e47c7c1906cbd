"""Predictions into each other, and denoisers of one process under samplers of another."""

import math

import pytest
import torch
from oracle import Gaussian

from samplers import (
    DDIM,
    EDM,
    PREDICTIONS,
    VPSDE,
    DPMSolver,
    Euler,
    Fractions,
    LinearVP,
    Matching,
    RectifiedFlow,
    ScaledLinearVP,
    conversion,
)

SINGLE = {"stitch": Fractions(fractions=[1]), "num_models": 1}
X_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)
EPS = X_0.flip(0) ** 2 - 1
PLACES = [(0.8, 0.6), (0.6, 0.8), (0.25, 0.75), (1.0, 80.0), (1.0, 0.002), (0.00635, 0.99998)]
PROCESSES = [LinearVP(), ScaledLinearVP(), VPSDE(), RectifiedFlow(), EDM()]


def known(alpha, sigma):
    """Each prediction by its definition."""
    return {"eps": EPS, "x0": X_0, "v": alpha * EPS - sigma * X_0, "velocity": EPS - X_0}


@pytest.mark.parametrize(("alpha", "sigma"), PLACES)
@pytest.mark.parametrize("wanted", PREDICTIONS)
@pytest.mark.parametrize("given", PREDICTIONS)
def test_conversions(given, wanted, alpha, sigma):
    """Catches: a sign, alpha and sigma swapped, alpha^2 + sigma^2 taken for 1."""
    kinds, x = known(alpha, sigma), alpha * X_0 + sigma * EPS
    converted = conversion(given, wanted, alpha, sigma)(x, kinds[given])
    torch.testing.assert_close(converted, kinds[wanted], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("alpha", "sigma"), [(0.0, 1.0), (1.0, 0.0)])
def test_ends(alpha, sigma):
    """Catches: 0 / 0 at pure noise or clean data where the answer is known, silence where not."""
    kinds, x = known(alpha, sigma), alpha * X_0 + sigma * EPS
    silent = "eps" if alpha == 0 else "x0"
    for given in PREDICTIONS:
        for wanted in PREDICTIONS:
            if given == silent != wanted:
                where = "pure noise" if alpha == 0 else "clean data"
                with pytest.raises(ValueError, match=f"prediction={given}: at {where} .* {wanted}"):
                    conversion(given, wanted, alpha, sigma)
            else:
                converted = conversion(given, wanted, alpha, sigma)(x, kinds[given])
                torch.testing.assert_close(converted, kinds[wanted])


def test_float32_next_to_the_ends():
    """Catches: v or velocity made from a difference that cancels where alpha or sigma is small."""
    for alpha, sigma in [(1e-6, 1.0), (1.0, 1e-6)]:
        kinds = {name: value.float() for name, value in known(alpha, sigma).items()}
        x = (alpha * X_0 + sigma * EPS).float()
        for given in ("v", "velocity"):
            for wanted in ("eps", "x0"):
                converted = conversion(given, wanted, alpha, sigma)(x, kinds[given])
                torch.testing.assert_close(converted, kinds[wanted], rtol=0, atol=2e-6)


def test_eps_to_x0_keeps_its_bits():
    """Catches: samples of the published pairs that change in their last bit."""
    x, eps = X_0.float() * 1.3, EPS.float()
    alpha, sigma = math.sqrt(0.37), math.sqrt(0.63)
    assert torch.equal(conversion("eps", "x0", alpha, sigma)(x, eps), (x - sigma * eps) / alpha)


def test_nothing_is_added_where_nothing_differs():
    """Catches: a copy of the latents at every step of every run of today."""
    denoiser = Gaussian()
    sampler = DDIM(10, process=LinearVP(), **SINGLE)
    assert Matching(sampler, LinearVP(), "eps")(denoiser) is denoiser
    assert Matching(sampler, ScaledLinearVP(), "eps", "t")(denoiser) is denoiser
    assert Matching(sampler, ScaledLinearVP(), "eps")(denoiser) is not denoiser


@pytest.mark.parametrize("inner", PROCESSES, ids=str)
@pytest.mark.parametrize("outer", PROCESSES, ids=str)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_denoiser_of_another_process(outer, inner, prediction):
    """Catches: a wrong scale or timestep: at equal log-SNR both processes know the same of x_0."""
    if inner == outer == RectifiedFlow() and prediction == "eps":
        return  # refused: test_bad_values
    sampler = DPMSolver(12, process=outer, **SINGLE)
    matched = Matching(sampler, inner, prediction)(Gaussian(inner, prediction))
    exact = Gaussian(outer, "x0")
    reached = inner.log_snr(torch.tensor([inner.t_max, inner.t_min]).double().numpy())
    compared = 0
    for step in sampler.plan:
        log_snr = float(outer.log_snr(step.t))
        if math.isfinite(log_snr) and reached[0] <= log_snr <= reached[1]:
            mean, std = outer.alpha(step.t) * 0.3, exact.marginal(step.t)[1]
            x = float(mean) + float(std) * X_0
            ours, _ = matched(x, step.t, None)
            torch.testing.assert_close(ours, exact(x, step.t, None)[0], rtol=1e-7, atol=1e-7)
            compared += 1
    assert compared >= 6


@pytest.mark.parametrize("inner", [LinearVP(), ScaledLinearVP()], ids=str)
@pytest.mark.parametrize("outer", [LinearVP(), RectifiedFlow()], ids=str)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_latents_of_another_scale(outer, inner, prediction, scale):
    """Catches: x_0 that is not scaled back, larger latents at the log-SNR of smaller ones."""
    shift = -0.4
    theirs = Gaussian(inner, prediction, mu=scale * 0.3 + shift, s=scale * 0.5)
    kinds = ("eps", "x0") if outer == LinearVP() else ("velocity", "x0")
    for wanted in kinds:
        sampler = DPMSolver(12, process=outer, **SINGLE)
        sampler.prediction = wanted
        matched = Matching(sampler, inner, prediction, "snr", scale, shift)(theirs)
        exact = Gaussian(outer, wanted)
        known = inner.log_snr(torch.tensor([inner.t_max, inner.t_min]).double().numpy())
        compared = 0
        for step in sampler.plan:
            log_snr = float(outer.log_snr(step.t)) - math.log(scale)
            if math.isfinite(log_snr) and known[0] <= log_snr <= known[1]:
                mean, std = exact.marginal(step.t)
                x = float(mean) + float(std) * X_0
                ours, _ = matched(x, step.t, None)
                torch.testing.assert_close(ours, exact(x, step.t, None)[0], rtol=1e-6, atol=1e-6)
                compared += 1
        assert compared >= 6


def test_noisier_than_the_denoiser_knows():
    """Catches: infinity at a flow's pure noise, for a network that was never trained there."""
    sampler = Euler(4, process=RectifiedFlow(), **SINGLE)
    seen = []

    def spy(x, t, y):
        seen.append((x, t))
        return Gaussian(LinearVP())(x, t, y)

    velocity, _ = Matching(sampler, LinearVP(), "eps")(spy)(X_0, 1000.0, None)
    (x, t), exact = seen[0], Gaussian(RectifiedFlow(), "velocity")(X_0, 1000.0, None)[0]
    assert t == 999
    torch.testing.assert_close(x, X_0, rtol=1e-12, atol=0)  # unit variance both
    torch.testing.assert_close(velocity, exact, rtol=0, atol=0.02)


def test_match_t():
    """Catches: the rescaling done where what others did, the bare swap, was asked for."""
    sampler = DDIM(4, process=ScaledLinearVP(), **SINGLE)
    seen = []

    def spy(x, t, y):
        seen.append((x, t))
        return torch.zeros_like(x), None

    x_0, _ = Matching(sampler, LinearVP(), "v", "t")(spy)(X_0, 333.0, None)
    assert seen[0][0] is X_0 and seen[0][1] == 333
    # v = 0: eps = sigma x, by the sampler's own sigma.
    torch.testing.assert_close(x_0, float(ScaledLinearVP().sigma(333.0)) * X_0)


def test_variance_logits_are_handed_on():
    """Catches: a learned variance lost, or converted as if it were a prediction."""
    sampler = DDIM(4, process=LinearVP(), **SINGLE)
    logits = torch.ones(3)
    matched = Matching(sampler, LinearVP(), "v")(lambda x, t, y: (x.bfloat16(), logits))
    converted, variance = matched(torch.ones(3), 999.0, None)
    assert variance is logits and converted.dtype == torch.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prediction": "epsilon"}, "prediction=epsilon: choose eps or x0 or v or velocity"),
        ({"match": "sigma"}, "match=sigma: choose snr or t"),
        ({"process": "linear"}, "process='linear': choose a Process"),
        ({"prediction": "eps", "process": RectifiedFlow()}, "prediction=eps: at pure noise"),
        ({"latent_scale": 0}, "latent_scale=0: choose a number from 1e-06"),
        ({"match": "t", "latent_shift": 0.1}, "match=t: takes latents as they are"),
    ],
)
def test_bad_values(values, message):
    """Catches: a misfit seen only in the middle of sampling."""
    sampler = DPMSolver(4, process=RectifiedFlow(), **SINGLE)
    with pytest.raises(ValueError, match=rf"\A{message}[^\n]*\Z"):
        Matching(sampler, **{"process": LinearVP(), "prediction": "eps", **values})
