"""Windows, boundaries, last and random steps, and the steps of the smallest values."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from samplers import (
    EDM,
    VPSDE,
    Boundary,
    Euler,
    Fraction,
    LargeToSmall,
    Last,
    LinearVP,
    Random,
    RectifiedFlow,
    Window,
    least,
    spaced_timesteps,
)

TENTHS = [r / 10 for r in range(11)]


def along(steps):
    return [LinearVP().progress(t) for t in spaced_timesteps(steps, "respaced", 1000)]


@pytest.mark.parametrize("axis", ["time", "step"])
@pytest.mark.parametrize("steps", [4, 11, 25])
def test_a_window_is_between_two_fractions(steps, axis):
    """Catches: an end that is open where the fraction's is closed, start and end swapped."""
    progress = along(steps)
    for start in TENTHS:
        below = Fraction(fraction=start, axis=axis).assign(progress, 2)
        for end in (e for e in TENTHS if e >= start):
            upto = Fraction(fraction=end, axis=axis).assign(progress, 2)
            window = Window(start=start, end=end, axis=axis).assign(progress, 2)
            small = [u == 0 and b == 1 for u, b in zip(upto, below, strict=True)]
            assert window == tuple(int(not s) for s in small), (start, end)
    for f in TENTHS:
        mirrored = LargeToSmall(fraction=f, axis=axis).assign(progress, 2)
        assert Window(start=1 - f, end=1, axis=axis).assign(progress, 2) == mirrored


@pytest.mark.parametrize("process", [LinearVP(), VPSDE(), RectifiedFlow(shift=5.0)])
@pytest.mark.parametrize("boundary", [0.0, 0.2, 0.5, 0.875, 0.9, 1.0])
def test_a_boundary_is_on_t(process, boundary):
    """Catches: `>` for `>=`, progress (which counts flows a step of T short) for t/T, the experts
    in the other order."""
    for high_noise, first in (("small", 0), ("large", 1)):
        stitch = Boundary(boundary=boundary, high_noise=high_noise)
        plan = Euler(40, process=process, stitch=stitch, num_models=2).plan
        for step in plan:
            expected = first if step.t >= boundary * 1000 - 1e-6 else 1 - first
            assert step.model == expected, step


def test_a_boundary_at_a_timestep():
    """Catches: the step at the boundary itself given to the second expert by rounding."""
    times = [1000 * k / 40 for k in range(40, 0, -1)]
    for k in range(1, 41):
        models = Boundary(boundary=k / 40).along(times, RectifiedFlow(), 2)
        assert models == (0,) * (41 - k) + (1,) * (k - 1)


def test_a_boundary_of_noise_levels():
    """Catches: levels of EDM taken for t of T, by which nearly all steps are past any boundary."""
    plan = Euler(20, process=EDM(), stitch=Boundary(boundary=0.5), num_models=2).plan
    assert [step.model for step in plan] == [0] * 10 + [1] * 10


def test_last():
    """Catches: the first steps for the last, one step too many."""
    assert Last(steps=2).assign(along(5), 2) == (1, 1, 1, 0, 0)
    assert Last(steps=0).assign(along(3), 2) == (1, 1, 1)
    assert Last(steps=3).assign(along(3), 2) == (0, 0, 0)


def test_random_takes_every_choice_alike():
    """Catches: another number of steps than K, a choice that prefers some steps, unseeded draws."""
    found = Counter(Random(steps=2, seed=s).assign(along(5), 2) for s in range(3000))
    every = {tuple(int(k not in small) for k in range(5)) for small in combinations(range(5), 2)}
    assert found.keys() == every
    assert min(found.values()) > 3000 / len(every) * 0.75
    np.random.seed(1)
    assert Random(steps=3, seed=7).assign(along(8), 2) == Random(steps=3, seed=7).assign(
        range(8), 2
    )


def test_least():
    """Catches: the largest values for the smallest, ties that fall by luck."""
    assert least([0.3, 0.1, 0.2, 0.1], 2) == (1, 0, 1, 0)
    assert least([0.2] * 4, 2) == (0, 0, 1, 1)
    assert least([1.0, 2.0], 0) == (1, 1) and least([1.0, 2.0], 2) == (0, 0)
