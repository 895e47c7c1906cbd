"""Stitch schedules: the authors' allocations, exactness at ties, and every kind's properties."""

from collections import Counter
from math import ceil

import numpy as np
import pytest
import torch

from samplers import (
    DDIM,
    Decreasing,
    DPMSolver,
    Explicit,
    Fraction,
    Fractions,
    Interleave,
    LargeToSmall,
    LinearVP,
    spaced_timesteps,
)

RATIOS = [r / 10 for r in range(11)]


def respaced(steps):
    return spaced_timesteps(steps, "respaced", 1000)


def along(timesteps):
    """Progress of timesteps, as samplers hand it to a schedule."""
    return [LinearVP().progress(t) for t in timesteps]


def authors_float_rule(timesteps, ratio):
    """The published rule as written there, `t/1000 >= 1 - r`: kept because it slips at ties."""
    return tuple(0 if t / 1000 >= 1 - ratio else 1 for t in timesteps)


def integer_rule(timesteps, tenths):
    """1 - t/1000 <= tenths/10 in integers: 1000 - t <= 100 * tenths."""
    return tuple(0 if 1000 - t <= 100 * tenths else 1 for t in timesteps)


def test_allocations_of_the_authors(allocations):
    """Catches: rounding fraction x N, `<` for `<=`, a boundary of a trio off by one step."""
    assert len(allocations) == 96
    for key, expected in allocations.items():
        kind, steps, value = key.split("/")
        timesteps = respaced(int(steps))
        if kind == "two":
            assigned = Fraction(fraction=float(value)).assign(along(timesteps), 2)
        else:
            fractions = [float(f) for f in value.strip("[]").split(",")]
            assigned = Fractions(fractions=fractions).assign(along(timesteps), 3)
            assert assigned == Fractions(fractions=fractions[:2]).assign(along(timesteps), 3), key
        assert list(assigned) == expected, key


@pytest.mark.parametrize("steps", [11, 21, 31])
def test_exact_where_the_authors_comparison_slips(steps):
    """Catches: comparing in floating point by luck.

    At r = 0.7 the step t = 300 of N = 11, 21, 31 lies exactly on the boundary: it belongs to the
    small denoiser, but 1 - 0.7 = 0.30000000000000004 in float64 and the published rule misses it.
    """
    timesteps = respaced(steps)
    exact = integer_rule(timesteps, 7)
    slipped = authors_float_rule(timesteps, 0.7)
    differing = [t for t, a, b in zip(timesteps, exact, slipped, strict=True) if a != b]
    assert differing == [300]
    assert Fraction(fraction=0.7).assign(along(timesteps), 2) == exact
    assert Fractions(fractions=[0.7, 0.3]).assign(along(timesteps), 2) == exact


@pytest.mark.slow
def test_exact_for_every_number_of_steps():
    """Catches: a tolerance so large, or so small, that some N and ratio go wrong."""
    for steps in range(2, 1001):
        timesteps = respaced(steps)
        for tenths, ratio in enumerate(RATIOS):
            expected = sum(1000 - t <= 100 * tenths for t in timesteps)
            assigned = Fraction(fraction=ratio).assign(along(timesteps), 2)
            assert assigned == (0,) * expected + (1,) * (steps - expected), (steps, ratio)


@pytest.mark.parametrize("kind", [Fraction, LargeToSmall, Interleave])
def test_ends(kind):
    """Catches: one step left to the other denoiser at fraction 0 or 1."""
    for steps in (2, 10, 25, 1000):
        timesteps = respaced(steps)
        assert set(kind(fraction=0).assign(along(timesteps), 2)) == {1}
        assert set(kind(fraction=1).assign(along(timesteps), 2)) == {0}


@pytest.mark.parametrize("steps", [1, 4, 7, 10, 25, 50, 250])
def test_step_axis_counts(steps):
    """Catches: the `i/N <= r` variant (one step too many) and rounding instead of flooring."""
    timesteps = np.linspace(999, 0, steps).tolist()
    for tenths, ratio in enumerate(RATIOS):
        small = tenths * steps // 10  # (i + 1) / N <= r holds for floor(r N) steps
        expected = (0,) * small + (1,) * (steps - small)
        assert Fraction(fraction=ratio, axis="step").assign(along(timesteps), 2) == expected
        mirrored = (1,) * ((10 - tenths) * steps // 10)
        expected = mirrored + (0,) * (steps - len(mirrored))
        assert LargeToSmall(fraction=ratio, axis="step").assign(along(timesteps), 2) == expected


def test_time_axis_is_not_rounding():
    """Catches: fraction x N rounded to even, which differs from the time axis at N = 25."""
    small = [Fraction(fraction=r).assign(along(respaced(25)), 2).count(0) for r in RATIOS]
    assert small == [0, 3, 5, 8, 10, 13, 15, 17, 20, 22, 25]
    assert small != [round(25 * r) for r in RATIOS]


def test_log_snr_spacing_gives_small_fewer_steps(single):
    """Catches: assigning by step index where the network's timestep decides."""
    pair = {"process": LinearVP(), "stitch": Fraction(fraction=0.5), "num_models": 2}
    time = [step.model for step in DPMSolver(20, "time", **pair).plan]
    log_snr = [step.model for step in DPMSolver(20, "logsnr", **pair).plan]
    assert time.count(0) == 10 > log_snr.count(0) > 0


def test_step_axis_of_three():
    """Catches: boundaries that are not accumulated."""
    kind = Fractions(fractions=[0.4, 0.4, 0.2], axis="step")
    assert kind.assign(range(9, -1, -1), 3) == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2)


@pytest.mark.parametrize("num_models", [1, 2, 3, 5, 10])
def test_equal_fractions_of_any_number_of_models(num_models):
    """Catches: a schedule written for two or three; rounding of the accumulated sum."""
    kind = Fractions(fractions=[1 / num_models] * num_models, axis="step")
    assert Counter(kind.assign(range(100), num_models)) == {
        k: (k + 1) * 100 // num_models - k * 100 // num_models for k in range(num_models)
    }


def test_fractions_of_two_equal_fraction():
    """Catches: two rules for one thing drifting apart."""
    progress = along(respaced(25))
    for axis in ("time", "step"):
        for ratio in RATIOS:
            one = Fraction(fraction=ratio, axis=axis).assign(progress, 2)
            assert one == Fractions(fractions=[ratio, 1 - ratio], axis=axis).assign(progress, 2)
            assert one == Fractions(fractions=[ratio], axis=axis).assign(progress, 2)


def test_interleave():
    """Catches: starting with the large one, clumps, or a count that is not the fraction."""
    assert Interleave().assign(range(7), 2) == (0, 1, 0, 1, 0, 1, 0)
    for steps in (1, 10, 25, 99):
        for tenths, ratio in enumerate(RATIOS):
            models = Interleave(fraction=ratio).assign(range(steps), 2)
            assert models.count(0) == ceil(tenths * steps / 10)
            for end in range(steps + 1):
                assert abs(models[:end].count(0) - ratio * end) < 1


def test_decreasing():
    """Catches: the probability rising, not reaching 0 and 1, or unseeded draws."""
    steps, seeds = 50, 2000
    runs = np.array([Decreasing(seed=s).assign(range(steps), 2) for s in range(seeds)])
    assert runs[:, 0].max() == 0 and runs[:, -1].min() == 1
    probability = (runs == 0).mean(axis=0)
    np.testing.assert_allclose(probability, np.linspace(1, 0, steps), atol=0.05)
    assert len({run.tobytes() for run in runs}) == seeds


def test_decreasing_ignores_and_keeps_global_state():
    """Catches: ranks with different global generators disagreeing on the order."""
    np.random.seed(1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = Decreasing(seed=3).assign(range(30), 2)
    np.random.seed(2)
    assert Decreasing(seed=3).assign(along(respaced(30)), 2) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert "".join(map(str, first)) == "000000001000011101100111111101"


def test_large_to_small_mirrors_fraction():
    """Catches: `fraction` meaning the large part, or the small one running first."""
    for ratio in RATIOS:
        mirrored = Fraction(fraction=1 - ratio).assign(along(respaced(25)), 2)
        expected = tuple(1 - model for model in mirrored)
        assert LargeToSmall(fraction=ratio).assign(along(respaced(25)), 2) == expected
    assert LargeToSmall(fraction=0.3).assign(along(respaced(10)), 2) == (1,) * 7 + (0,) * 3


def test_explicit():
    """Catches: indices reordered or reinterpreted."""
    sampler = DDIM(4, process=LinearVP(), stitch=Explicit(models=[2, 0, 1, 0]), num_models=3)
    assert [(step.index, step.t, step.model) for step in sampler.plan] == [
        (0, 999.0, 2),
        (1, 666.0, 0),
        (2, 333.0, 1),
        (3, 0.0, 0),
    ]


def test_schedules_are_values():
    """Catches: changing a ratio by assignment; lists given by a caller changing later."""
    models = [0, 1]
    kind = Explicit(models=models)
    models[0] = 1
    assert kind == Explicit(models=(0, 1)) and hash(kind) == hash(Explicit(models=(0, 1)))
    with pytest.raises(AttributeError):
        Fraction(fraction=0.5).fraction = 0.6
