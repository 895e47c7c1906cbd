"""Processes against the papers' formulas and tables; their inverses, ends, progress."""

import numpy as np
import pytest
from scipy.integrate import quad

from samplers import EDM, VPSDE, LinearVP, RectifiedFlow, ScaledLinearVP, spaced_timesteps

PROCESSES = [
    LinearVP(),
    ScaledLinearVP(),
    ScaledLinearVP(beta_start=0.0015, beta_end=0.0195),
    VPSDE(),
    RectifiedFlow(shift=3),
    EDM(),
]
VP = [p for p in PROCESSES if isinstance(p, LinearVP | ScaledLinearVP | VPSDE)]


def inside(process, count=200):
    """Timesteps from the noisiest to the cleanest at which alpha and sigma are above 0."""
    times = process.times(count)
    return times[(process.alpha(times) > 0) & (process.sigma(times) > 0)]


def test_linear_table():
    """Catches: float32 tables, a wrong end point, alpha_bar shifted by one."""
    process = LinearVP()
    assert process.betas.dtype == np.float64 and process.betas.shape == (1000,)
    assert process.betas[0] == 1e-4 and process.betas[-1] == 0.02
    assert process.alphas_cumprod[0] == 1 - 1e-4
    assert process.alphas_cumprod[-1] == pytest.approx(4.0358e-5, rel=1e-4)


def test_scaled_linear_table():
    """Catches: betas, not their roots, in equal steps; Stable Diffusion's last sigma is 14.6."""
    process = ScaledLinearVP()
    assert process.betas[[0, -1]] == pytest.approx([0.00085, 0.012], rel=1e-12)
    np.testing.assert_allclose(np.diff(np.sqrt(process.betas), 2), 0, atol=1e-15)
    ratio = process.sigma(process.t_max) / process.alpha(process.t_max)
    assert ratio == pytest.approx(14.6146, rel=1e-5)


def test_respaced_chain():
    """Catches: betas of the full chain used on the shorter one; order reversed."""
    process = LinearVP()
    betas, alpha_bar, _ = process.respaced(spaced_timesteps(1000, "respaced", 1000))
    np.testing.assert_allclose(betas, process.betas[::-1], rtol=1e-11)
    betas, alpha_bar, alpha_bar_prev = process.respaced(spaced_timesteps(10, "ddim", 1000))
    np.testing.assert_allclose(alpha_bar, process.alphas_cumprod[900::-100])
    np.testing.assert_allclose(np.cumprod((1 - betas)[::-1])[::-1], alpha_bar, rtol=1e-12)
    assert alpha_bar_prev[-1] == 1


@pytest.mark.parametrize("process", [LinearVP(), ScaledLinearVP()], ids=str)
def test_discrete_times_are_the_table(process):
    """Catches: interpolation that is off by one timestep, or by 1/T."""
    t = np.arange(1000)
    np.testing.assert_allclose(process.alpha(t), np.sqrt(process.alphas_cumprod), rtol=1e-13)
    np.testing.assert_allclose(process.sigma(t), np.sqrt(1 - process.alphas_cumprod), rtol=1e-11)
    assert process.alpha(0.5) == pytest.approx(np.sqrt(process.alpha(0) * process.alpha(1)))


def test_vp_sde_is_the_integral_of_beta():
    """Catches: a factor of 2, t that is not (T - 1) s; the limit of DDPM's chain missed."""
    process = VPSDE()
    for s in (0.01, 0.3, 1.0):
        integral = quad(lambda u: 0.1 + u * 19.9, 0, s)[0]
        assert process.alpha(999 * s) == pytest.approx(np.exp(-integral / 2), rel=1e-12)
    linear = LinearVP()
    np.testing.assert_allclose(process.alpha(linear.t_max), linear.alpha(linear.t_max), rtol=0.05)


def test_flow_and_edm_by_hand():
    """Catches: signal and noise swapped; a shift that goes to the clean end."""
    flow, edm = RectifiedFlow(shift=3), EDM()
    assert (flow.alpha(250.0), flow.sigma(250.0)) == (0.75, 0.25)
    np.testing.assert_allclose(flow.times(4), [1000, 900, 750, 500, 0])
    np.testing.assert_allclose(RectifiedFlow().times(4), [1000, 750, 500, 250, 0])
    assert (float(edm.alpha(3.0)), float(edm.sigma(3.0))) == (1, 3)
    times = edm.times(18)
    assert times[0] == pytest.approx(80) and times[-2] == pytest.approx(0.002) and times[-1] == 0
    np.testing.assert_allclose(np.diff(times[:-1] ** (1 / 7), 2), 0, atol=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_log_snr(process):
    """Catches: an inverse that is not one; lambda that rises with t, or is twice too large."""
    t = inside(process)
    log_snr = process.log_snr(t)
    np.testing.assert_allclose(log_snr, np.log(process.alpha(t) / process.sigma(t)), atol=1e-9)
    assert (np.diff(log_snr) > 0).all()
    within = t[t >= process.t_min]
    np.testing.assert_allclose(process.time(process.log_snr(within)), within, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("process", VP, ids=str)
def test_variance_is_preserved_at_the_clean_end(process):
    """Catches: sigma = sqrt(1 - alpha^2), which loses half its digits where sigma is small."""
    t = inside(process)
    np.testing.assert_allclose(process.alpha(t) ** 2 + process.sigma(t) ** 2, 1, rtol=1e-14)
    assert VPSDE().sigma(1e-9) == pytest.approx(np.sqrt(1e-9 / 999 * 0.1), rel=1e-6)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_beyond_the_ends_is_the_end(process):
    """Catches: NaN or a timestep that no network knows, for a log-SNR of another process."""
    ends = [process.t_max, process.t_min]
    np.testing.assert_allclose(process.time(np.array([-np.inf, np.inf])), ends)
    np.testing.assert_allclose(process.time(np.array([-40.0, 40.0])), ends, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_trajectories(process):
    """Catches: an end left out, times out of order, a last evaluation past the clean end."""
    for steps in (1, 2, 10, 1000):
        times = process.times(steps)
        assert len(times) == steps + 1 and times[0] == pytest.approx(process.t_max)
        assert (np.diff(times) < 0).all()
    if np.isfinite(process.log_snr(process.t_max)):
        log_snr = process.log_snr(process.times(10, "logsnr"))
        np.testing.assert_allclose(np.diff(log_snr, 2), 0, atol=1e-4)  # linear between timesteps
        assert process.times(10, "logsnr")[[0, -1]].tolist() == [process.t_max, process.t_min]
    else:
        with pytest.raises(ValueError, match=r"\Aspacing=logsnr: infinite at the ends of \w+Flow"):
            process.times(10, "logsnr")


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_progress(process):
    """Catches: a first step that fraction 0 gives to the small one; 11 of 100 steps for 0.1."""
    assert process.progress(process.t_max) == pytest.approx(1 / 1000)
    assert process.progress(process.t_min) == pytest.approx(1)
    progress = process.progress(process.times(100))
    assert (np.diff(progress) >= 0).all() and progress[-1] <= 1
    if process != RectifiedFlow(shift=3):  # counted by t, not by steps
        for tenths in range(11):
            assert sum(p <= tenths / 10 + 1e-7 for p in progress[:-1]) == 10 * tenths


def test_progress_of_timesteps_is_exact():
    """Catches: boundaries of the stitch schedules that move with rounding."""
    for t in range(1000):
        assert LinearVP().progress(t) == pytest.approx(1 - t / 1000, abs=1e-15)


def test_processes_are_values():
    """Catches: two denoisers of one process taken for different ones, and matched in vain."""
    process = LinearVP()
    assert process.alpha(3) and process == LinearVP() and hash(process) == hash(LinearVP())
    assert LinearVP() != ScaledLinearVP(beta_start=1e-4, beta_end=0.02)
    with pytest.raises(AttributeError):
        process.beta_end = 0.03
