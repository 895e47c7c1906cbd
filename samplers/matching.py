"""A denoiser of any process and prediction under a sampler of another."""

from dataclasses import dataclass
from functools import cache
from math import hypot

from torch import Tensor

from .base import Denoiser, Sampler
from .checks import check_choice
from .prediction import PREDICTIONS, Conversion, conversion
from .process import Process, check_process

MATCHES = ("snr", "t")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a denoiser is evaluated for one timestep of the sampler."""

    t: float  # of the denoiser's process
    scale: float  # of the latent
    convert: Conversion  # of its prediction to what the sampler asks for


class Matching:
    """How denoisers of a process and prediction answer a sampler; decided once, on the host.

    Two linear Gaussian paths differ in clock and scale alone: x_t at a log-SNR of one is, rescaled,
    x at the timestep of equal log-SNR of the other, with the same x_0 and eps. Beyond the ends of
    the denoiser's process the nearer end is taken.

    Args:
        sampler: its process, plan and the prediction it asks for.
        process: that the denoiser was trained on.
        prediction: of the denoiser: "eps", "x0", "v" or "velocity".
        match: "snr", or "t": the same t and x, as if it were trained on the sampler's process.

    Raises:
        ValueError: a bad value, or a prediction that does not tell what the sampler asks for.
    """

    def __init__(
        self, sampler: Sampler, process: Process, prediction: str, match: str = "snr"
    ) -> None:
        self._given = check_choice("prediction", prediction, PREDICTIONS)
        check_choice("match", match, MATCHES)
        self._wanted = sampler.prediction
        self._outer = sampler.process
        self._inner = sampler.process if match == "t" else check_process(process)
        self._same = self._inner == self._outer and self._given == self._wanted
        self._place = cache(self._find)
        for step in () if self._same else sampler.plan:
            self._place(step.t)

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser as the sampler asks for it: itself, where nothing differs."""
        if self._same:
            return denoiser

        def matched(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            place = self._place(t)
            x = x if place.scale == 1 else place.scale * x
            prediction, variance = denoiser(x, place.t, y)
            return place.convert(x, prediction.to(x.dtype)), variance

        return matched

    def _find(self, t: float) -> _Place:
        inner_t, scale = t, 1.0
        if self._inner != self._outer:
            inner_t = float(self._inner.time(self._outer.log_snr(t)))
            # alpha_d / alpha where log-SNR is equal, and good where alpha or sigma is 0.
            scale = self._size(self._inner, inner_t) / self._size(self._outer, t)
        alpha, sigma = float(self._inner.alpha(inner_t)), float(self._inner.sigma(inner_t))
        return _Place(inner_t, scale, conversion(self._given, self._wanted, alpha, sigma))

    @staticmethod
    def _size(process: Process, t: float) -> float:
        return hypot(process.alpha(t), process.sigma(t))
