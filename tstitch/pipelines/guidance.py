"""A guidance scale of its own for the steps of the small network."""

import inspect
import re
from typing import Any

from samplers.checks import is_number
from tstitch.runtime.errors import UserError

# Pipelines that look the scale up after the network was called, at every step.
LOOKED_UP = re.compile(r"self\._?guidance_scale\s*\*")


class SmallGuidance:
    """Sets the pipeline's scale while a small network runs, and the user's for the large one.

    Whoever changes the scale in between, such as a callback, is heard.

    Args:
        scale: above 1; scales of 1 and less would change the number of evaluations in mid-run.
        pipe: that is to be stitched.

    Raises:
        UserError: another scale, or a pipeline that takes its scale into the loop.
    """

    def __init__(self, scale: float, pipe: Any) -> None:
        if not is_number(scale) or scale <= 1:
            raise UserError(f"small_guidance={scale!r}: choose a number above 1")
        if not LOOKED_UP.search(_source(pipe)):
            raise UserError(
                f"small_guidance={scale:g}: {type(pipe).__name__} keeps its scale through a run; "
                "leave it out"
            )
        self.scale = float(scale)
        self._own: Any = None

    def apply(self, pipe: Any, model: int) -> None:
        """Before an evaluation by a network, 0 the smallest."""
        if pipe is None:
            raise UserError(
                "small_guidance: the stitched pipeline is gone; keep it, or stitch again"
            )
        self.restore(pipe)
        scale = pipe._guidance_scale
        if model == 0 and is_number(scale) and scale > 1:
            self._own = scale
            pipe._guidance_scale = self.scale

    def restore(self, pipe: Any) -> None:
        """The user's scale, unless it was changed since."""
        if self._own is not None and pipe._guidance_scale == self.scale:
            pipe._guidance_scale = self._own
        self._own = None


def _source(pipe: Any) -> str:
    try:
        return inspect.getsource(type(pipe).__call__)
    except (OSError, TypeError):
        return ""
