"""Timesteps and betas of the respaced chain."""

import numpy as np
import pytest

from samplers import (
    alphas_cumprod,
    ddim_stride_timesteps,
    linear_betas,
    respaced_chain,
    respaced_timesteps,
    spaced_timesteps,
)


def test_timesteps_of_the_published_code(goldens):
    """Catches: a stride that is multiplied, not accumulated (N = 21: 500 for 499); truncation."""
    rules = {
        "respaced_timesteps": respaced_timesteps,
        "ddim_stride_timesteps": ddim_stride_timesteps,
    }
    keys = [key for key in goldens if key.split("/")[0] in rules]
    assert len(keys) == 12
    for key in keys:
        rule, steps = key.split("/")
        assert list(rules[rule](int(steps))) == goldens[key].tolist(), key


def test_multiplied_stride_differs():
    """Catches: replacing the accumulation by i * stride, seen in its effect at N = 21."""
    multiplied = [round(i * 999 / 20) for i in range(21)]
    differing = set(multiplied) ^ set(respaced_timesteps(21))
    assert differing == {499, 500}


def test_every_number_of_steps():
    """Catches: a duplicated or missing timestep, or an end left out, at some N."""
    for steps in range(2, 1001):
        timesteps = respaced_timesteps(steps)
        assert len(timesteps) == steps and timesteps[0] == 0 and timesteps[-1] == 999
        assert list(timesteps) == sorted(set(timesteps))


def test_reachable_strides():
    """Catches: a stride that is not the smallest, or numbers refused that can be reached."""
    reachable = {-(-1000 // stride) for stride in range(1, 1000)}
    for steps in range(2, 1001):
        if steps in reachable:
            timesteps = ddim_stride_timesteps(steps)
            stride = timesteps[1]
            assert list(timesteps) == list(range(0, 1000, stride)) and len(timesteps) == steps
            assert stride == 1 or -(-1000 // (stride - 1)) > steps
        else:
            with pytest.raises(ValueError, match=f"^steps={steps}: "):
                ddim_stride_timesteps(steps)


def test_nearest_reachable_are_named():
    """Catches: a refusal without a remedy, or naming numbers that are refused too."""
    with pytest.raises(ValueError, match="choose 63 or 67, or spacing=respaced"):
        ddim_stride_timesteps(65)


def test_noise_schedule():
    """Catches: float32 tables, a wrong end point, alpha_bar shifted by one."""
    betas = linear_betas()
    assert betas.dtype == np.float64 and betas.shape == (1000,)
    assert betas[0] == 1e-4 and betas[-1] == 0.02
    assert alphas_cumprod()[0] == 1 - 1e-4
    assert alphas_cumprod()[-1] == pytest.approx(4.0358e-5, rel=1e-4)


def test_respaced_chain():
    """Catches: betas of the full chain used on the shorter one; order reversed."""
    betas, alpha_bar, alpha_bar_prev = respaced_chain(spaced_timesteps(1000, "respaced"))
    np.testing.assert_allclose(betas, linear_betas()[::-1], rtol=1e-11)
    betas, alpha_bar, alpha_bar_prev = respaced_chain(spaced_timesteps(10, "ddim"))
    np.testing.assert_allclose(alpha_bar, alphas_cumprod()[900::-100])
    np.testing.assert_allclose(np.cumprod((1 - betas)[::-1])[::-1], alpha_bar, rtol=1e-12)
    assert alpha_bar_prev[-1] == 1
