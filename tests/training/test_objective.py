"""The hybrid objective against torch.distributions, scipy and the definition by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from samplers import LinearVP
from tstitch.training.objective import HybridObjective, discretized_log_likelihood, gaussian_kl

LEVELS = torch.arange(256) / 127.5 - 1.0


@pytest.fixture(scope="module")
def objective() -> HybridObjective:
    return HybridObjective(LinearVP().betas)


def batch(seed: int = 0, t: tuple[int, ...] = (0, 1, 400, 999)):
    """x_0, t, y, eps of len(t) images 2x4x4."""
    generator = torch.Generator().manual_seed(seed)
    x_0 = torch.rand(len(t), 2, 4, 4, generator=generator) * 2 - 1
    eps = torch.randn(x_0.shape, generator=generator)
    return x_0, torch.tensor(t), torch.zeros(len(t), dtype=torch.int64), eps


def posterior_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """beta, alpha_bar and posterior variance by the definition, one step after the other."""
    betas = np.linspace(1e-4, 0.02, 1000)
    alpha_bar = np.array([np.prod(1 - betas[: t + 1]) for t in range(1000)])
    previous = np.concatenate([[1.0], alpha_bar[:-1]])
    return betas, alpha_bar, betas * (1 - previous) / (1 - alpha_bar)


def test_kl_of_gaussians():
    """Catches: swapped arguments, a variance where a deviation belongs."""
    generator = torch.Generator().manual_seed(0)
    mean_1, mean_2, log_1, log_2 = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    first, second = (Normal(m, (0.5 * v).exp()) for m, v in ((mean_1, log_1), (mean_2, log_2)))
    expected = kl_divergence(first, second)
    torch.testing.assert_close(gaussian_kl(mean_1, log_1, mean_2, log_2), expected)
    assert not torch.allclose(gaussian_kl(mean_2, log_2, mean_1, log_1), expected)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.5), (0.31, 0.02), (-0.97, 0.3), (1.4, 0.2)])
def test_discretized_likelihood_is_a_distribution(mean, std):
    """Catches: bins that overlap or leave gaps, open tails that are not counted."""
    logs = discretized_log_likelihood(
        LEVELS.double(), torch.tensor(mean).double(), torch.tensor(math.log(std)).double()
    )
    assert logs.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("level", [0, 1, 100, 128, 200, 254, 255])
def test_discretized_likelihood_matches_scipy(level):
    """Catches: bins of width 1/255, edges that are not open, base-2 logarithms."""
    x, mean, std = float(LEVELS[level]), 0.1, 0.7
    upper = 1.0 if level == 255 else norm.cdf(x + 1 / 255, mean, std)
    lower = 0.0 if level == 0 else norm.cdf(x - 1 / 255, mean, std)
    got = discretized_log_likelihood(LEVELS[level], torch.tensor(mean), torch.tensor(math.log(std)))
    assert got.item() == pytest.approx(math.log(upper - lower), abs=2e-4)


def test_mse_is_the_definition(objective):
    """Catches: x_t of another schedule, a sum for a mean, variance logits in the MSE."""
    x_0, t, y, eps = batch()
    _, alpha_bar, _ = posterior_tables()
    seen = {}

    def network(x_t, timesteps, labels):
        seen.update(x_t=x_t, t=timesteps, y=labels)
        return torch.cat([0.3 * x_t, 100 * torch.ones_like(x_t)], 1)

    mse = objective(network, x_0, t, y, eps).mse
    keep = torch.tensor(alpha_bar[t.numpy()])[:, None, None, None]
    x_t = keep.sqrt() * x_0.double() + (1 - keep).sqrt() * eps.double()
    torch.testing.assert_close(seen["x_t"].double(), x_t, atol=1e-6, rtol=1e-6)
    assert seen["t"] is t and seen["y"] is y
    assert mse.item() == pytest.approx(float(((0.3 * x_t - eps) ** 2).mean()), rel=1e-5)


def test_perfect_denoiser_has_no_error(objective):
    """Catches: a target other than eps; a KL term that is not zero at the true posterior."""
    x_0, t, y, eps = batch(t=(1, 2, 300, 999))
    _, bound, mse = objective(
        lambda x, t, y: torch.cat([eps, -torch.ones_like(eps)], 1), x_0, t, y, eps
    )
    assert mse.item() == 0.0
    assert abs(bound.item()) < 1e-6


@pytest.mark.parametrize(("logit", "name"), [(1.0, "beta"), (-1.0, "posterior"), (0.0, "middle")])
@pytest.mark.parametrize("t", [1, 2, 500, 999])
def test_learned_range_endpoints(objective, logit, name, t):
    """Catches: swapped endpoints, v = logit instead of (logit + 1) / 2, linear interpolation."""
    betas, _, posterior = posterior_tables()
    variance = {
        "beta": betas[t],
        "posterior": posterior[t],
        "middle": math.sqrt(betas[t] * posterior[t]),
    }[name]
    x_0, ts, y, eps = batch(t=(t,))
    _, bound, _ = objective(
        lambda x, t, y: torch.cat([eps, torch.full_like(eps, logit)], 1), x_0, ts, y, eps
    )
    true, predicted = Normal(0.0, math.sqrt(posterior[t])), Normal(0.0, math.sqrt(variance))
    expected = kl_divergence(true, predicted).item() / math.log(2)
    assert bound.item() == pytest.approx(expected, rel=1e-3, abs=2e-6)


@pytest.mark.parametrize("t", [1, 400, 999])
def test_bound_by_hand(objective, t):
    """Catches: a wrong posterior mean, x_0 predicted with another scale, nats for bits."""
    betas, alpha_bar, posterior = posterior_tables()
    x_0, ts, y, eps = (v.double() if v.is_floating_point() else v for v in batch(t=(t,)))
    wrong = eps + 0.5
    _, bound, _ = objective(
        lambda x, t, y: torch.cat([wrong, torch.ones_like(eps)], 1).float(), x_0, ts, y, eps
    )
    # The mean of x_{t-1} written with eps (DDPM, Eq. 11): only the error of eps is left.
    shift = betas[t] / math.sqrt(1 - alpha_bar[t]) / math.sqrt(1 - betas[t]) * 0.5
    true = Normal(0.0, math.sqrt(posterior[t]))
    expected = kl_divergence(true, Normal(shift, math.sqrt(betas[t]))).item() / math.log(2)
    assert bound.item() == pytest.approx(expected, rel=2e-3)


def test_last_step_is_a_likelihood(objective):
    """Catches: a KL at t = 0, where x_0 itself is measured in bits per dimension."""
    x_0, t, y, eps = batch(t=(0,))
    bound = objective(lambda x, t, y: torch.cat([eps, torch.ones_like(eps)], 1), x_0, t, y, eps)[1]
    log_std = torch.tensor(0.5 * math.log(1e-4))
    expected = -discretized_log_likelihood(x_0, x_0, log_std).mean() / math.log(2)
    assert bound.item() == pytest.approx(expected.item(), rel=1e-3)


def test_bound_does_not_reach_the_noise(objective):
    """Catches: a missing detach, which lets the bound pull at the predicted noise."""
    x_0, t, y, eps = batch()
    noise = torch.zeros_like(eps, requires_grad=True)
    logits = torch.zeros_like(eps, requires_grad=True)
    mse, bound, _ = objective(lambda x, t, y: torch.cat([noise, logits], 1), x_0, t, y, eps)
    by_noise, by_logits = torch.autograd.grad(bound, (noise, logits), materialize_grads=True)
    assert not by_noise.any() and by_logits.abs().min() > 0
    by_noise, by_logits = torch.autograd.grad(mse, (noise, logits), materialize_grads=True)
    assert by_noise.abs().min() > 0 and not by_logits.any()


@pytest.mark.parametrize("limit", [1.0, 5.0, 30.0])
def test_noise_error_is_weighted_by_timestep(limit):
    """Catches: weights by signal over noise, a limit that is none, a weighted MSE in the log."""
    objective = HybridObjective(LinearVP().betas, limit)
    x_0, t, y, eps = batch(t=(0, 300, 600, 999))
    wrong = eps + torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None, None]
    noise, _, mse = objective(lambda x, t, y: wrong, x_0, t, y, eps)
    _, alpha_bar, _ = posterior_tables()
    ratio = (1 - alpha_bar[t.numpy()]) / alpha_bar[t.numpy()]
    weights = np.minimum(np.maximum(ratio, 1.0), limit)
    assert noise.item() == pytest.approx(float((weights * [1, 4, 9, 16]).mean()), rel=1e-4)
    assert mse.item() == pytest.approx(7.5, rel=1e-4)
    assert (noise.item() == mse.item()) == (limit == 1.0)


def test_noise_only_network(objective):
    """Catches: C channels cut in half when there are no variance logits."""
    x_0, t, y, eps = batch()
    _, bound, mse = objective(lambda x, t, y: eps + 0.5, x_0, t, y, eps)
    assert mse.item() == pytest.approx(0.25) and bound.item() == 0.0


def test_tables_are_not_weights(objective):
    """Catches: schedule tables in a checkpoint, tables that stay on the CPU."""
    assert not objective.state_dict() and not list(objective.parameters())
    assert all(
        b.device.type == "meta" for b in HybridObjective(LinearVP().betas).to("meta").buffers()
    )
