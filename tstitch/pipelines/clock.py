"""Where the loop of a pipeline is: read off its scheduler, not counted."""

import weakref
from typing import Any

import torch
from torch import Tensor

from tstitch.pipelines.grid import Grid
from tstitch.runtime.errors import UserError

ROUNDING = 2.0**-8  # relative, of timesteps that went through bfloat16
CLOSE = 1e-3


class Clock:
    """The current step of the pipeline that is running.

    Calls are not counted: guidance may ask twice a step, and image-to-image begins in the middle.
    The timestep that a network is given may be rescaled (FLUX gives t/1000), so that it comes last.

    Args:
        pipe: whose scheduler is asked. It is not kept alive; after its end its scheduler is.

    Attributes:
        grid: steps of the run; None before the first.
        is_new: whether the last reading was the first of a run.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = weakref.ref(pipe)
        self._scheduler = pipe.scheduler
        self._seen = getattr(pipe.scheduler, "timesteps", None)
        self._last: tuple[int, Any] | None = None
        self.grid: Grid | None = None
        self.is_new = False

    @property
    def pipe(self) -> Any:
        """The pipeline, or None if it is gone."""
        return self._pipe()

    @property
    def scheduler(self) -> Any:
        """That of the pipeline, which may get another one at any time."""
        pipe = self.pipe
        if pipe is not None:
            self._scheduler = pipe.scheduler
        return self._scheduler

    @property
    def turn(self) -> int:
        """Place of the last reading among the scheduler's timesteps; there was one."""
        assert self._last is not None
        return self._last[0]

    @property
    def missed(self) -> bool:
        """Whether timesteps were set since the last reading: a run that asked no network here."""
        return getattr(self.scheduler, "timesteps", None) is not self._seen

    def forget(self) -> None:
        """Takes the timesteps that are set now for seen."""
        self._seen = getattr(self.scheduler, "timesteps", None)

    def read(self, given: Any) -> int:
        """The step of the grid that is running.

        Args:
            given: timestep that the network was called with, a number or tensor.

        Raises:
            UserError: this pipeline's scheduler is not the one of the loop.
        """
        scheduler = self.scheduler
        self.is_new = self.grid is None or scheduler.timesteps is not self._seen
        if self.is_new:
            # set_timesteps makes a new tensor. One copy to the host: no waiting at every step.
            self._seen, self.grid, self._last = scheduler.timesteps, Grid.read(scheduler), None
        assert self.grid is not None
        index = self._index(scheduler, self.grid, given)
        if index >= len(self.grid.timesteps) or self._stands_still(index, given):
            raise UserError(
                f"scheduler={type(scheduler).__name__}: that of the stitched pipeline stands still "
                "while its network is called; call stitch() on the pipeline that runs"
            )
        self._last = (index, given)
        return self.grid.step_of[index]

    def _index(self, scheduler: Any, grid: Grid, given: Any) -> int:
        for name in ("step_index", "begin_index"):
            index = getattr(scheduler, name, None)
            if index is not None:
                return int(index)
        current = getattr(self.pipe, "_current_timestep", None)
        if current is not None:
            view = _place_of(current, scheduler.timesteps)
            return grid.nearest(float(current)) if view is None else view
        view = _place_of(given, scheduler.timesteps)
        if view is not None:
            return view
        t = float(torch.as_tensor(given).flatten()[0])
        index = grid.nearest(t)
        if abs(grid.timesteps[index] - t) <= max(CLOSE, abs(t) * ROUNDING):
            return index
        at_start = self._last is None or self._last[0] == 0
        if at_start and hasattr(type(scheduler), "step_index"):
            return 0  # unset only before the first step of a whole trajectory has ended
        raise UserError(
            f"timestep={t:g}: it is none of the {len(grid.timesteps)} of {type(scheduler).__name__}"
            "; call stitch() on the pipeline that runs"
        )

    def _stands_still(self, index: int, given: Any) -> bool:
        """Whether the timestep moved on and the index did not."""
        if self._last is None or self._last[0] != index or self._last[1] is given:
            return False
        before, now = (torch.as_tensor(t).flatten()[:1] for t in (self._last[1], given))
        return not torch.equal(before, now)


def _place_of(t: Any, timesteps: Any) -> int | None:
    """Index of a timestep that is an element of the tensor itself, without waiting for a device."""
    if not isinstance(t, Tensor) or not isinstance(timesteps, Tensor) or t.numel() != 1:
        return None
    if t.dtype != timesteps.dtype or t.device != timesteps.device or timesteps.dim() != 1:
        return None
    if t.untyped_storage().data_ptr() != timesteps.untyped_storage().data_ptr():
        return None
    return int(t.storage_offset() - timesteps.storage_offset()) // timesteps.stride(0)
