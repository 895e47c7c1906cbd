"""The search over schedules: what it must find, and what it must never lose."""

from itertools import combinations

import numpy as np
import pytest
import torch

from samplers import DDIM, DDPM, DPMSolver, Explicit, Fraction, Heun, LinearVP, PerImageRandomness
from samplers import sample as walk
from tstitch.sampling.batch import Batch
from tstitch.sampling.trials import BatchTrials
from tstitch.schedules.evolution import Evolution
from tstitch.schedules.search import starting_points

STEPS, SMALL = 12, 5
EVERY = [
    tuple(int(k not in small) for k in range(STEPS)) for small in combinations(range(STEPS), SMALL)
]
FIRST, LAST = EVERY[0], EVERY[-1]


def rugged(seed):
    """A value of each schedule: every step's own, and of every two neighbours."""
    rng = np.random.default_rng(seed)
    alone, together = rng.random(STEPS), rng.normal(size=STEPS)

    def value(schedule):
        small = 1 - np.array(schedule)
        return float(small @ alone + (small[1:] * small[:-1]) @ together[1:])

    return value


@pytest.mark.parametrize("seed", range(6))
def test_finds_the_best_of_all(seed):
    """Catches: moves that cannot reach some schedules, a population that loses its best."""
    value = rugged(seed)
    search = Evolution(lambda new: [value(s) for s in new], [FIRST, LAST], 12, seed)
    best = min(map(value, EVERY))
    *_, last = search.generations(40)
    assert last == value(search.best) == pytest.approx(best)
    assert len(search.known) < len(EVERY)


def test_is_no_worse_than_any_seed():
    """Catches: an end that is not the best that was seen; schedules of another size."""
    for seed in range(20):
        value, judged = rugged(seed), []

        def judge(new, value=value, judged=judged):
            judged.extend(new)
            return [value(s) for s in new]

        seeds = [EVERY[k] for k in np.random.default_rng(seed).integers(len(EVERY), size=9)]
        search = Evolution(judge, seeds, 4, seed)
        course = list(search.generations(3))
        assert course == sorted(course, reverse=True)
        assert value(search.best) == min(map(value, judged)) <= min(map(value, seeds))
        assert {s.count(0) for s in judged} == {SMALL}
        assert len(set(judged)) == len(judged)


def test_depends_on_its_seed_alone():
    """Catches: draws from global generators, an order that comes from hashing."""
    value = rugged(0)

    def course(seed):
        search = Evolution(lambda new: [value(s) for s in new], [FIRST], 6, seed)
        return list(search.generations(5)), list(search.known)

    first = course(3)
    np.random.seed(1)
    assert course(3) == first != course(4)


@pytest.mark.parametrize("schedule", [(0, 0, 0), (1, 1, 1), (0, 1, 1)])
def test_ends_when_all_is_known(schedule):
    """Catches: an endless search for new schedules where there are few, or one."""
    search = Evolution(lambda new: [sum(s[:1]) for s in new], [schedule], 8, 0)
    list(search.generations(10))
    assert len(search.known) == (3 if schedule == (0, 1, 1) else 1)


def test_starting_points():
    """Catches: a control that is left out, more windows than asked for, another number of steps."""
    curves = {"eps": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "velocity": [0.6, 0.2, 0.1, 0.3, 0.5, 0.4]}
    seeds = starting_points(curves, 2, 3)
    assert seeds == {
        "first": (0, 0, 1, 1, 1, 1),
        "window from 2": (1, 1, 0, 0, 1, 1),
        "last": (1, 1, 1, 1, 0, 0),
        "topk of eps": (0, 0, 1, 1, 1, 1),
        "topk of velocity": (1, 0, 0, 1, 1, 1),
    }
    assert set(starting_points(curves, 6, 5).values()) == {(0,) * 6}
    assert set(starting_points(curves, 0, 5).values()) == {(1,) * 6}


SAMPLERS = {
    "ddim": (DDIM, {}),
    "ddpm": (DDPM, {}),
    "dpm_solver": (DPMSolver, {"spacing": "time", "order": 3}),
    "heun": (Heun, {}),
}


def drawn(size=3, padding=0):
    randomness = PerImageRandomness(0, range(size + padding), (2, 4, 4))
    y = torch.zeros(size + padding, dtype=torch.int64)
    return Batch(size, randomness.initial(), y, randomness.step)


def large(x, t, y):
    return 0.9 * x + 0.2 * torch.sin(3 * x), None


@pytest.mark.parametrize("name", SAMPLERS)
def test_trials_are_runs_of_their_own(name):
    """Catches: history or step noise of another schedule behind a beginning in common, Heun's two
    evaluations split, padding that counts, every schedule walked from the start."""
    kind, values = SAMPLERS[name]

    def small(x, t, y):
        return 0.8 * x, None

    def final(models):
        stitch = Explicit(models=models)
        sampler = kind(5, **values, process=LinearVP(), stitch=stitch, num_models=2)
        batch = drawn()
        return walk(sampler, [small, large], batch.x_T, batch.y, batch.step_noise)

    schedules = [
        (1, 0, 0, 1, 1),
        (0, 0, 1, 1, 1),
        (1, 0, 1, 0, 1),
        (1, 1, 1, 1, 1),
        (0, 0, 1, 1, 1),
    ]
    sampler = kind(5, **values, process=LinearVP(), stitch=Fraction(fraction=0), num_models=2)
    trials = BatchTrials(sampler, [small, large], drawn(padding=1))
    found = trials.changes(schedules)
    reference = final((1,) * 5)
    expected = [(final(s) - reference).flatten(1).pow(2).mean(1).sqrt() for s in schedules]
    torch.testing.assert_close(found, torch.stack(expected).double(), rtol=1e-5, atol=1e-7)
    # The large one alone; then 00111, 10011 and 11111 as a whole but for what they share.
    assert trials.evaluated == 3 * (5 + (5 + 5 + 3 + 4))


def test_finds_a_schedule_that_is_known_to_be_best():
    """Catches: a criterion that rewards change, or is blind to the steps in between.

    The small denoiser is exact at four steps that are neither first, last nor neighbours.
    """
    exact = {1, 4, 6, 9}
    sampler = DDIM(10, process=LinearVP(), stitch=Fraction(fraction=0), num_models=2)
    times = {step.t for step in sampler.plan if step.index in exact}

    def small(x, t, y):
        prediction, _ = large(x, t, y)
        return (prediction if t in times else 1.2 * prediction + 0.1), None

    trials = BatchTrials(sampler, [small, large], drawn())
    seeds = starting_points({"eps": [1.0] * 10}, len(exact), 4)
    search = Evolution(
        lambda new: trials.changes(new).mean(1).tolist(), list(seeds.values()), 10, 0
    )
    list(search.generations(15))
    assert {k for k, model in enumerate(search.best) if model == 0} == exact
    assert search.known[search.best] == 0
