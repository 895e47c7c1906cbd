"""An evolutionary search over schedules of two denoisers with some number of small steps."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np

Schedule = tuple[int, ...]  # 0 = small, 1 = large, of each step
Judge = Callable[[Sequence[Schedule]], Sequence[float]]
TRIES = 20  # at a child that is new, of each one wanted


class Evolution:
    """The best of a population stay, and get children; nothing is judged twice.

    Whatever is best so far stays: the end is no worse than any schedule of the beginning.

    Args:
        judge: what is to be least, of schedules that it has not seen.
        seeds: to begin with, of one length and number of small steps.
        population: schedules that may have children, and children of a generation.
        seed: of all choices.

    Attributes:
        known: every schedule that was judged.
    """

    def __init__(self, judge: Judge, seeds: Sequence[Schedule], population: int, seed: int) -> None:
        self._judge, self._size = judge, population
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self.known: dict[Schedule, float] = {}
        self._add(list(dict.fromkeys(seeds)))
        self._add(self._new(lambda: self._shuffled(seeds[0]), population - len(self.known)))

    @property
    def best(self) -> Schedule:
        """The least so far; of equals the first in the order of tuples."""
        return self._ranked()[0]

    def generations(self, count: int) -> Iterator[float]:
        """Lives through some of them; the least value after each. Ends early if all is known."""
        for _ in range(count):
            children = self._new(partial(self._child, self._ranked()[: self._size]), self._size)
            if not children:
                return
            self._add(children)
            yield self.known[self.best]

    def _ranked(self) -> list[Schedule]:
        return sorted(self.known, key=lambda schedule: (self.known[schedule], schedule))

    def _add(self, schedules: list[Schedule]) -> None:
        if schedules:
            self.known |= zip(schedules, self._judge(schedules), strict=True)

    def _new(self, make: Callable[[], Schedule], count: int) -> list[Schedule]:
        """Up to a number of schedules that are not known yet."""
        found = dict[Schedule, None]()
        for _ in range(TRIES * max(count, 0)):
            schedule = make()
            if schedule not in self.known:
                found[schedule] = None
            if len(found) == count:
                break
        return list(found)

    def _child(self, parents: list[Schedule]) -> Schedule:
        mother, father = self._parent(parents), self._parent(parents)
        change = int(self._rng.integers(3))
        if change == 0:
            return self._crossed(mother, father)
        return self._swapped(mother) if change == 1 else self._shifted(mother)

    def _parent(self, parents: list[Schedule]) -> Schedule:
        """The better of two."""
        return parents[int(self._rng.integers(len(parents), size=2).min())]

    def _shuffled(self, schedule: Schedule) -> Schedule:
        return tuple(self._rng.permutation(schedule).tolist())

    def _swapped(self, schedule: Schedule) -> Schedule:
        """A small and a large step change places."""
        small = [k for k, model in enumerate(schedule) if model == 0]
        large = [k for k, model in enumerate(schedule) if model]
        if not small or not large:
            return schedule
        return _exchanged(schedule, self._one(small), self._one(large))

    def _shifted(self, schedule: Schedule) -> Schedule:
        """Consecutive steps of one denoiser move one step: the boundaries at both ends."""
        runs = [list(run) for _, run in groupby(range(len(schedule)), schedule.__getitem__)]
        run = runs[int(self._rng.integers(len(runs)))]
        begin, end = run[0], run[-1]
        moves = [(begin - 1, end), (begin, end + 1)]
        inside = [m for m in moves if m[0] >= 0 and m[1] < len(schedule)]
        return _exchanged(schedule, *inside[self._one(range(len(inside)))]) if inside else schedule

    def _crossed(self, mother: Schedule, father: Schedule) -> Schedule:
        """What both have, and of the steps in which they differ as many small ones as needed."""
        differing = [k for k, (m, f) in enumerate(zip(mother, father, strict=True)) if m != f]
        child = list(mother)
        # Both have as many small steps: half of these are small in either.
        for place, k in enumerate(self._rng.permutation(differing).tolist()):
            child[int(k)] = int(place >= len(differing) // 2)
        return tuple(child)

    def _one(self, of: Sequence[int]) -> int:
        return of[int(self._rng.integers(len(of)))]


def _exchanged(schedule: Schedule, one: int, other: int) -> Schedule:
    models = list(schedule)
    models[one], models[other] = models[other], models[one]
    return tuple(models)
