"""Pareto fronts against their definition."""

import math

import numpy as np
import pytest

from evaluation.report.pareto import pareto_front


def dominated(costs, losses, i: int) -> bool:
    return any(
        costs[k] <= costs[i]
        and losses[k] <= losses[i]
        and (costs[k] < costs[i] or losses[k] < losses[i])
        for k in range(len(costs))
    )


@pytest.mark.parametrize("seed", range(60))
def test_front_is_what_nothing_dominates(seed):
    """Catches: dominated points on the front, points missing from it, mishandled ties."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 40))
    levels = int(generator.integers(1, 12))  # few levels: many ties in one or both numbers
    costs, losses = generator.integers(0, levels, (2, count)).astype(float)
    front = pareto_front(costs, losses)
    assert sorted(front) == [i for i in range(count) if not dominated(costs, losses, i)]
    assert len(set(front)) == len(front)
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)


@pytest.mark.parametrize("seed", range(10))
def test_order_of_points_does_not_matter(seed):
    """Catches: a front that depends on which of two runs comes first."""
    generator = np.random.default_rng(seed)
    costs, losses = generator.integers(0, 6, (2, 25)).astype(float)
    order = generator.permutation(25)
    shuffled = pareto_front(costs[order], losses[order])
    assert {int(order[i]) for i in shuffled} == set(pareto_front(costs, losses))


def test_ties():
    """Catches: one of two identical runs dropped; the worse of two equally costly ones kept."""
    assert pareto_front([1.0, 1.0, 1.0, 2.0], [3.0, 2.0, 2.0, 2.0]) == [1, 2]
    assert pareto_front([2.0, 1.0], [1.0, 2.0]) == [1, 0]
    assert pareto_front([], []) == []


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
@pytest.mark.parametrize("place", ["costs", "losses"])
def test_no_number_is_refused(bad, place):
    """Catches: a NaN that no comparison removes, so that it stands on every front."""
    values = {"costs": [1.0, 2.0], "losses": [1.0, 2.0]}
    values[place][1] = bad
    with pytest.raises(ValueError, match=rf"^{place}\[1\]=") as caught:
        pareto_front(values["costs"], values["losses"])
    assert "\n" not in str(caught.value)


def test_lengths_must_agree():
    """Catches: losses cut off in silence."""
    with pytest.raises(ValueError, match="^costs="):
        pareto_front([1.0, 2.0], [1.0])
