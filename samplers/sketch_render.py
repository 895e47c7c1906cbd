"""SRDiffusion's schedule: the large denoiser sketches, the small one renders (arXiv 2505.19151)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .checks import check_integer, check_number
from .online import Decisions, OnlineSchedule
from .stitch_base import MOST_STEPS, check_two


@dataclass(frozen=True, kw_only=True)
class SketchRender(OnlineSchedule):
    """The large denoiser first, per image until its predictions settle; then the small one.

    With o_i the large one's prediction at step i = 1, 2, .. of an image and
    d_i = tanh(mean|o_i - o_(i-1)| / mean|o_(i-1)|), the small one takes all steps after the first
    i >= earliest with 0 < d_(i-1) - d_i < tolerance, or after i = latest (SRDiffusion, Sec. 3).
    So an image has from `earliest` to `latest` large steps, and 3 at least where the rule decides.
    """

    earliest: int | None = None  # None = a tenth of the steps, rounded up: 5 of the paper's 50
    latest: int | None = None  # None = six tenths, rounded up: 30 of 50; 0 = all small
    tolerance: float = 0.01  # above 0, at most 1

    def __post_init__(self) -> None:
        for name, value in (("earliest", self.earliest), ("latest", self.latest)):
            if value is not None:
                check_integer(name, value, 0, MOST_STEPS)
        if check_number("tolerance", self.tolerance, 0, 1) == 0:
            raise ValueError(f"tolerance={self.tolerance}: choose a number above 0, at most 1")

    def assign(self, progress: Sequence[float], num_models: int) -> tuple[int, ...]:
        """The course with the most large steps: `latest` of them."""
        check_two("tolerance", self.tolerance, num_models)
        steps = len(progress)
        most = self.resolved(steps).latest or 0
        return (1,) * most + (0,) * (steps - most)

    def resolved(self, steps: int) -> "SketchRender":
        for name, value in (("earliest", self.earliest), ("latest", self.latest)):
            if value is not None and value > steps:
                raise ValueError(f"{name}={value}: choose at most the sampler's {steps} steps")
        earliest, latest = self.earliest, self.latest
        if earliest is not None and latest is not None and earliest > latest:
            raise ValueError(f"earliest={earliest}: choose at most latest={latest}, or a later one")
        # What is not given follows what is.
        if latest is None:
            latest = max(-(-3 * steps // 5), earliest or 0)
        if earliest is None:
            earliest = min(-(-steps // 10), latest)
        return replace(self, earliest=earliest, latest=latest)

    def begin(self, images: int, steps: int) -> Decisions:
        own = self.resolved(steps)
        return _Sketches(images, own.earliest or 0, own.latest or 0, own.tolerance)


class _Sketches(Decisions):
    """Which images of a batch are still sketched."""

    def __init__(self, images: int, earliest: int, latest: int, tolerance: float) -> None:
        self._models = np.full(images, int(latest > 0))
        self._earliest, self._latest, self._tolerance = earliest, latest, tolerance
        self._step = 0
        self._last: Tensor | None = None  # o_(i-1)
        self._change: Tensor | None = None  # d_(i-1), (N,)

    @property
    def models(self) -> np.ndarray:
        return self._models

    def observe(self, prediction: Tensor) -> None:
        self._step += 1
        if self._step >= self._latest:
            self._models = np.zeros_like(self._models)
        if not self._models.any():
            self._last = self._change = None
            return
        change, before = self._changed(prediction), self._change
        if change is not None and before is not None and self._step >= self._earliest:
            fall = before - change
            settled = (fall > 0) & (fall < self._tolerance)
            # The choice of denoisers is made on the host, once a step.
            self._models = np.where(settled.cpu().numpy(), 0, self._models)
        self._last, self._change = prediction, change

    def _changed(self, prediction: Tensor) -> Tensor | None:
        """d_i of every image, (N,); None at the first step."""
        if self._last is None:
            return None
        difference = (prediction - self._last).abs().flatten(1).mean(1)
        return torch.tanh(difference / self._last.abs().flatten(1).mean(1))
