"""One batch under many schedules: what they begin with in common is computed once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from samplers import Denoiser, Sampler
from tstitch.sampling.batch import Batch


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a trajectory is before a step."""

    x: Tensor
    history: tuple[Tensor, ...]
    drawn: int  # step noises so far


class BatchTrials:
    """A tstitch.maker.protocol.Trials.

    Args:
        sampler: its trajectory; its own schedule does not count.
        denoisers: guided, small to large, as they answer the sampler.
        batch: freshly drawn.

    Attributes:
        evaluated: steps of an image that were computed so far.
    """

    def __init__(self, sampler: Sampler, denoisers: Sequence[Denoiser], batch: Batch) -> None:
        self._sampler, self._denoisers, self._batch = sampler, denoisers, batch
        self._noises = list[Tensor]()  # of all schedules, in step order
        self._ends = [sum(sampler.evaluations[:k]) for k in range(len(sampler.evaluations) + 1)]
        self.evaluated = 0
        [self._large] = self._finals([(len(denoisers) - 1,) * sampler.steps])

    def changes(self, schedules: Sequence[tuple[int, ...]]) -> Tensor:
        """(S, batch.size) float64 on the host: root mean square change of x_0."""
        finals = self._finals(schedules)
        apart = [(x - self._large).flatten(1).pow(2).mean(1).sqrt() for x in finals]
        return torch.stack(apart)[:, : self._batch.size].double().cpu()

    @torch.inference_mode()
    def _finals(self, schedules: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """x_0 under each schedule."""
        found = dict[tuple[int, ...], Tensor]()
        places, before = [_Place(self._batch.x_T, (), 0)], schedules[0]
        for schedule in sorted(set(schedules)):  # beginnings in common are neighbours
            del places[1 + _shared(before, schedule) :]
            for step in range(len(places) - 1, len(schedule)):
                places.append(self._after(step, schedule[step], places[-1]))
            found[schedule], before = places[-1].x, schedule
        return [found[schedule] for schedule in schedules]

    def _after(self, step: int, model: int, place: _Place) -> _Place:
        """One step, of as many evaluations as the sampler has in it."""
        x, history, drawn = place.x, list(place.history), place.drawn

        def noise() -> Tensor:
            nonlocal drawn
            if drawn == len(self._noises):
                self._noises.append(self._batch.step_noise())
            drawn += 1
            return self._noises[drawn - 1]

        for planned in self._sampler.plan[self._ends[step] : self._ends[step + 1]]:
            own = replace(planned, model=model)
            prediction, variance = self._denoisers[model](x, own.t, self._batch.y)
            x = self._sampler.update(own, x, prediction.to(x.dtype), variance, noise, history)
        self.evaluated += self._batch.size
        return _Place(x, tuple(history), drawn)


def _shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many steps two schedules begin with in common."""
    for step, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return step
    return min(len(one), len(other))
