"""What a pipeline's scheduler is given and gives back, along one trajectory."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tstitch.pipelines.hook import StitchHook
from tstitch.runtime.errors import UserError


class Recorder:
    """Two runs of one pipeline at the same latents.

    The first is recorded. In the second the scheduler computes as ever, but what it returns is
    what the first run got: whatever is predicted, the latents stay those of the first.
    """

    def __init__(self) -> None:
        self._results: list[Any] = []
        self._runs: list[list[tuple[int, Tensor]]] = []

    @contextmanager
    def watching(self, scheduler: Any, hook: StitchHook) -> Iterator[None]:
        """Around a run of the pipeline whose network has the hook."""
        original = scheduler.step
        predictions: list[tuple[int, Tensor]] = []
        follows = bool(self._runs)
        self._runs.append(predictions)

        @functools.wraps(original)  # pipelines look at its parameters
        def step(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            given = args[0] if args else kwargs["model_output"]
            predictions.append((hook.step, given.detach().float().cpu()))
            if not follows:
                self._results.append(result)
            return self._results[len(predictions) - 1]

        scheduler.step = step
        try:
            yield
        finally:
            del scheduler.step

    def disagreement(self, num_steps: int) -> tuple[float, ...]:
        """norm(second - first) / norm(first) of each step, the mean of those with several.

        Raises:
            UserError: steps that did not run, or values that are not finite.
        """
        first, second = self._runs
        found: list[list[float]] = [[] for _ in range(num_steps)]
        for (step, reference), (_, other) in zip(first, second, strict=True):
            apart = torch.linalg.vector_norm(other - reference)
            found[step].append(float(apart / torch.linalg.vector_norm(reference)))
        if missing := [i for i, values in enumerate(found) if not values]:
            raise UserError(
                f"prompts: steps {missing[0]} to {missing[-1]} of {num_steps} did not run; "
                "calibrate with strength=1"
            )
        means = tuple(sum(values) / len(values) for values in found)
        if not torch.isfinite(torch.tensor(means)).all():
            raise UserError("pipe: predictions are infinite or not a number; choose another dtype")
        return means
