"""Timesteps of the respaced chain."""

import pytest

from samplers import (
    DDIM,
    Fraction,
    ScaledLinearVP,
    ddim_stride_timesteps,
    respaced_timesteps,
    spaced_timesteps,
)
from samplers.spacing import ldm_timesteps


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
        assert list(rules[rule](int(steps), 1000)) == goldens[key].tolist(), key


def test_multiplied_stride_differs():
    """Catches: replacing the accumulation by i * stride, seen in its effect at N = 21."""
    multiplied = [round(i * 999 / 20) for i in range(21)]
    differing = set(multiplied) ^ set(respaced_timesteps(21, 1000))
    assert differing == {499, 500}


def test_every_number_of_steps():
    """Catches: a duplicated or missing timestep, or an end left out, at some N."""
    for steps in range(2, 1001):
        timesteps = respaced_timesteps(steps, 1000)
        assert len(timesteps) == steps and timesteps[0] == 0 and timesteps[-1] == 999
        assert list(timesteps) == sorted(set(timesteps))


def test_reachable_strides():
    """Catches: a stride that is not the smallest, or numbers refused that can be reached."""
    reachable = {-(-1000 // stride) for stride in range(1, 1000)}
    for steps in range(2, 1001):
        if steps in reachable:
            timesteps = ddim_stride_timesteps(steps, 1000)
            stride = timesteps[1]
            assert list(timesteps) == list(range(0, 1000, stride)) and len(timesteps) == steps
            assert stride == 1 or -(-1000 // (stride - 1)) > steps
        else:
            with pytest.raises(ValueError, match=f"^steps={steps}: "):
                ddim_stride_timesteps(steps, 1000)


def test_nearest_reachable_are_named():
    """Catches: a refusal without a remedy, or naming numbers that are refused too."""
    with pytest.raises(ValueError, match="choose 63 or 67, or spacing=respaced"):
        ddim_stride_timesteps(65, 1000)


def test_uniform_timesteps_of_ldm():
    """Catches: a trajectory from 0, or to 999; a stride that leaves steps out or adds some."""
    assert ldm_timesteps(100, 1000) == tuple(range(1, 992, 10))
    assert ldm_timesteps(50, 1000) == tuple(range(1, 982, 20))
    for steps in range(2, 1001):
        try:
            timesteps = ldm_timesteps(steps, 1000)
        except ValueError as error:
            assert str(error).startswith(f"steps={steps}: spacing=ldm does not give it; choose ")
        else:
            assert timesteps == tuple(range(1, 1000, 1000 // steps)) and len(timesteps) == steps


def test_uniform_timesteps_that_do_not_fit():
    """Catches: LDM's own traceback, for a stride that visits t = 1000 or more steps than asked."""
    with pytest.raises(ValueError, match="^steps=3: .*; choose 2 or 4, or spacing=respaced"):
        ldm_timesteps(3, 1000)
    with pytest.raises(ValueError, match="^steps=1000: .*; choose 500, or spacing=respaced"):
        ldm_timesteps(1000, 1000)
    with pytest.raises(ValueError, match="^spacing=ldm: choose respaced or ddim"):
        spaced_timesteps(100, "ldm", 1000)


@pytest.mark.parametrize("tenths", range(11))
def test_stitched_steps_on_ldm_timesteps(tenths):
    """Catches: one step more or less than fraction x N, as LDM's rule for these has none."""
    process = ScaledLinearVP(beta_start=0.0015, beta_end=0.0195)
    stitch = Fraction(fraction=tenths / 10)
    sampler = DDIM(100, "ldm", 1.0, process=process, stitch=stitch, num_models=2)
    assert [step.model for step in sampler.plan].count(0) == 10 * tenths
    assert (sampler.plan[0].t, sampler.plan[-1].t) == (991, 1)
