"""Bad values: refused when built, in one line that names the value and what is allowed."""

import re

import pytest

from samplers import (
    DDIM,
    DDPM,
    EDM,
    VPSDE,
    Boundary,
    Decreasing,
    DPMSolver,
    Euler,
    Explicit,
    Fraction,
    Fractions,
    Heun,
    Interleave,
    LargeToSmall,
    Last,
    LinearVP,
    PerImageRandomness,
    Random,
    RectifiedFlow,
    Sampler,
    ScaledLinearVP,
    TopK,
    Window,
)

NAN, INF = float("nan"), float("inf")
PAIR = {"process": LinearVP(), "stitch": Fraction(fraction=0.5), "num_models": 2}

BAD = [
    *[
        (kind, {"steps": steps}, f"steps={steps!r}: choose an integer from 2 to 1000")
        for kind in (DDPM, DDIM)
        for steps in (1001, 1, 0, -5, 50.0, True, "50", None, NAN)
    ],
    *[
        (DPMSolver, {"steps": steps}, f"steps={steps!r}: choose an integer from 1 to 1000")
        for steps in (1001, 0, 2.0, True, "7", None)
    ],
    (DDPM, {"steps": 1, "spacing": "ddim"}, "steps=1: choose an integer from 2 to 1000"),
    (DDIM, {"steps": 999, "spacing": "ddim"}, "steps=999: no stride of spacing=ddim gives it"),
    (DDPM, {"steps": 9, "spacing": "time"}, "spacing=time: choose respaced or ddim"),
    (DDIM, {"steps": 9, "spacing": None}, "spacing=None: choose respaced or ddim"),
    (DPMSolver, {"steps": 9, "spacing": "logSNR"}, "spacing=logSNR: choose time or logsnr"),
    (DDPM, {"steps": 9, "variance": "learned"}, "variance=learned: choose small or large"),
    *[
        (DDIM, {"steps": 9, "eta": eta}, f"eta={eta!r}: choose a number from 0 to 1")
        for eta in (-0.1, 1.1, NAN, INF, True, "0", None)
    ],
    (DPMSolver, {"steps": 9, "algorithm": "sde"}, "algorithm=sde: choose dpmpp or dpm"),
    *[
        (DPMSolver, {"steps": 9, "order": order}, f"order={order!r}: choose an integer from 1 to 3")
        for order in (0, 4, 2.0, True, "2")
    ],
    (DPMSolver, {"steps": 1}, "order=2: choose an integer from 1 to 1"),
    (DPMSolver, {"steps": 2, "order": 3}, "order=3: choose an integer from 1 to 2"),
    *[
        (kind, {"steps": steps}, f"steps={steps!r}: choose an integer from 1 to 1000")
        for kind in (Euler, Heun)
        for steps in (1001, 0, 2.0, True, None)
    ],
    *[
        (kind, {"steps": 9, "process": process}, f"process={process!r}: choose a Process, e.g. ")
        for kind in (DPMSolver, Euler, Heun)
        for process in (None, "linear", LinearVP)
    ],
    *[
        (
            kind,
            {"steps": 9, "process": process},
            f"process={process}: {kind.__name__} is defined for discrete VP processes (LinearVP, "
            "ScaledLinearVP); choose DPMSolver, Euler or Heun",
        )
        for kind in (DDPM, DDIM)
        for process in (VPSDE(), RectifiedFlow(), EDM(), None)
    ],
    *[
        (
            DPMSolver,
            {"steps": 9, "algorithm": "dpm", "process": process},
            "algorithm=dpm: not defined where alpha or sigma is 0, as at the ends of "
            f"{process}; choose dpmpp",
        )
        for process in (RectifiedFlow(shift=3), EDM())
    ],
    (
        DPMSolver,
        {"steps": 9, "spacing": "logsnr", "process": RectifiedFlow()},
        f"spacing=logsnr: infinite at the ends of {RectifiedFlow()}; choose time",
    ),
    *[
        (kind, {name: value}, f"{name}={value!r}: choose a")
        for kind, name, values in (
            (LinearVP, "beta_start", (0, -1.0, 1.0, NAN, True, "0.1")),
            (LinearVP, "beta_end", (1e-5, 1.0, INF, None)),
            (ScaledLinearVP, "beta_end", (1e-5, 1)),
            (ScaledLinearVP, "num_timesteps", (1, 0, 1000.0, True)),
            (VPSDE, "beta_max", (0.05, NAN)),
            (VPSDE, "s_min", (0, 1.0)),
            (RectifiedFlow, "shift", (0, -3, INF, "3")),
            (EDM, "sigma_min", (0, -1.0)),
            (EDM, "sigma_max", (0.002, NAN)),
            (EDM, "rho", (0, INF)),
        )
        for value in values
    ],
    *[
        (DDIM, {"steps": 9, "num_models": n}, f"num_models={n!r}: choose an integer of at least 1")
        for n in (0, -1, 2.0, True, "2")
    ],
    (DDIM, {"steps": 9, "stitch": 0.5}, "stitch=0.5: choose a StitchSchedule"),
    *[
        (kind, {"fraction": value}, f"fraction={value!r}: choose a number from 0 to 1")
        for kind in (Fraction, Interleave, LargeToSmall)
        for value in (1.2, -0.1, NAN, INF, True, "0.5", None, [0.5])
    ],
    *[
        (kind, {"fraction": 0.5, "axis": axis}, f"axis={axis}: choose time or step")
        for kind in (Fraction, LargeToSmall)
        for axis in ("steps", None, 1)
    ],
    (Fractions, {"fractions": [1], "axis": "t"}, "axis=t: choose time or step"),
    *[
        (Fractions, {"fractions": value}, f"fractions={value!r}: choose a list of numbers")
        for value in ("0.5", 0.5, None, [0.5, "0.5"], [NAN], [True], [1.5, -0.5], [0.6, 0.6])
    ],
    *[
        (Decreasing, {"seed": seed}, f"seed={seed!r}: choose an integer from 0 to 4294967295")
        for seed in (-1, 2**32, 0.0, True, "0", None)
    ],
    *[
        (Window, {"start": 0.2, "end": 0.8} | values, message)
        for values, message in (
            ({"start": -0.1}, "start=-0.1: choose a number from 0 to 1"),
            ({"end": 1.1}, "end=1.1: choose a number from 0 to 1"),
            ({"start": 0.9}, "start=0.9: choose a number of at most end=0.8"),
            ({"axis": "t"}, "axis=t: choose time or step"),
        )
    ],
    *[
        (Boundary, {"boundary": value}, f"boundary={value!r}: choose a number from 0 to 1")
        for value in (-0.1, 1.5, 875, NAN, None, "0.875")
    ],
    *[
        (Boundary, {"boundary": 0.5, "high_noise": value}, f"high_noise={value}: choose small or")
        for value in ("first", 0, None)
    ],
    *[
        (kind, {"steps": value}, f"steps={value!r}: choose an integer from 0 to 1000000")
        for kind in (Last, Random, TopK)
        for value in (-1, 2.0, True, None, "3")
    ],
    *[
        (kind, {"steps": 1, "seed": seed}, f"seed={seed!r}: choose an integer from 0 to 4294967295")
        for kind in (Random, TopK)
        for seed in (-1, 2**32, 0.5)
    ],
    (TopK, {"steps": 1, "inputs": 0}, "inputs=0: choose an integer from 1"),
    (TopK, {"steps": 1, "compare": "noise"}, "compare=noise: choose eps or x0 or v or velocity"),
    *[
        (Explicit, {"models": value}, f"models={value!r}: choose a list of model indices")
        for value in ([], "01", 0, None, [0, -1], [0, 1.0], [True], ["0"])
    ],
]

MISFITS = [
    (Fraction(fraction=0.4), 1, "fraction=0.4: .* exactly two denoisers, not 1; use Fractions"),
    (Fraction(fraction=0.4), 3, "fraction=0.4: .* exactly two denoisers, not 3; use Fractions"),
    (Interleave(), 3, "fraction=0.5: .* exactly two denoisers, not 3; use Fractions"),
    (LargeToSmall(), 1, "fraction=0.5: .* exactly two denoisers, not 1; use Fractions"),
    (Decreasing(), 3, "seed=0: .* exactly two denoisers, not 3; use Fractions"),
    (Window(start=0.3, end=0.7), 3, "start=0.3: .* exactly two denoisers, not 3; use Fractions"),
    (Boundary(boundary=0.5), 3, "boundary=0.5: .* exactly two denoisers, not 3; use Fractions"),
    (Last(steps=1), 3, "steps=1: .* exactly two denoisers, not 3; use Fractions"),
    (Random(steps=1), 3, "steps=1: .* exactly two denoisers, not 3; use Fractions"),
    (TopK(steps=1), 3, "steps=1: .* exactly two denoisers, not 3; use Fractions"),
    (Last(steps=5), 2, "steps=5: choose at most 4"),
    (Random(steps=5), 2, "steps=5: choose at most 4"),
    (TopK(steps=5), 2, "steps=5: choose at most 4"),
    (TopK(steps=2, models=[0, 1, 1, 1]), 2, r"models=\[.*\]: has 1 steps .* not steps=2; leave"),
    (TopK(steps=2), 2, "models=None: stitch=topk is resolved by scripts/sample.py alone"),
    (Fractions(fractions=[0.4, 0.6]), 1, r"fractions=\[0.4, 0.6\]: choose 1 numbers with sum 1"),
    (Fractions(fractions=[0.4]), 3, r"fractions=\[0.4\]: choose 3 numbers with sum 1"),
    (Fractions(fractions=[0.4, 0.5]), 2, r"fractions=\[0.4, 0.5\]: the sum is 0.9; it must be 1"),
    (Explicit(models=[0, 1]), 2, r"models=\[0, 1\]: choose 4 indices, one per step, not 2"),
    (Explicit(models=[0, 1, 2, 0]), 2, r"models=\[0, 1, 2, 0\]: choose indices from 0 to 1"),
]

RANDOMNESS = [
    ({"seed": -1}, "seed=-1: choose an integer from 0"),
    ({"seed": True}, "seed=True: choose an integer from 0"),
    ({"seed": 1.0}, "seed=1.0: choose an integer from 0"),
    ({"indices": []}, "indices=[]: choose at least one image index"),
    ({"indices": [0, -1]}, "indices=-1: choose an integer from 0"),
    ({"indices": [0.0]}, "indices=0.0: choose an integer from 0"),
    ({"indices": "01"}, "indices='01': choose a list of image indices"),
]


def refused(message: str):
    """Expects a ValueError of one line that starts with the message."""
    return pytest.raises(ValueError, match=rf"\A{message}[^\n]*\Z")


@pytest.mark.parametrize(("kind", "values", "message"), BAD)
def test_bad_values(kind, values, message):
    """Catches: a bad value accepted, coerced, or refused without naming it and the remedy."""
    pair = PAIR if issubclass(kind, Sampler) else {}
    with refused(re.escape(message)):
        kind(**{**pair, **values})


@pytest.mark.parametrize(("stitch", "num_models", "message"), MISFITS)
def test_schedules_that_do_not_fit(stitch, num_models, message):
    """Catches: a schedule applied to a number of models or steps it was not meant for."""
    with refused(message):
        DDIM(4, process=LinearVP(), stitch=stitch, num_models=num_models)


@pytest.mark.parametrize(("values", "message"), RANDOMNESS)
def test_bad_randomness(values, message):
    """Catches: seeds or indices that numpy or torch would refuse later, or silently convert."""
    with refused(re.escape(message)):
        PerImageRandomness(**{"seed": 0, "indices": [0], "shape": (1, 2, 2), **values})


def test_bad_num_classes():
    """Catches: labels drawn from an empty range."""
    with refused("num_classes=0: choose an integer from 1"):
        PerImageRandomness(0, [0], (1, 2, 2)).labels(0)


@pytest.mark.parametrize("missing", ["process", "stitch", "num_models"])
def test_stitch_is_required_by_keyword(missing):
    """Catches: a default that quietly samples with one denoiser, or on another schedule."""
    for kind in (DDPM, DDIM, DPMSolver, Euler, Heun):
        with pytest.raises(TypeError, match=missing):
            kind(9, **{key: value for key, value in PAIR.items() if key != missing})
        with pytest.raises(TypeError, match="positional"):
            kind(9, "time", "small", 1, PAIR["stitch"], 2)


def test_limits_are_accepted():
    """Catches: bounds that are off by one, or numbers given as integers refused."""
    for kind in (DDPM, DDIM):
        assert [kind(n, **PAIR).steps for n in (2, 1000)] == [2, 1000]
    assert [DPMSolver(n, order=1, **PAIR).steps for n in (1, 1000)] == [1, 1000]
    assert DPMSolver(3, order=3, **PAIR).order == 3
    assert DDIM(9, eta=1, **PAIR).eta == 1.0
    assert set(Fractions(fractions=[]).assign([0.001, 1], 1)) == {0}
    assert Fractions(fractions=(0.1,) * 10).assign([0.001, 1], 10) == (0, 9)
