"""A denoiser of any process and prediction under a sampler of another."""

from dataclasses import dataclass
from functools import cache
from math import hypot, log

from torch import Tensor

from .base import Denoiser, Sampler
from .checks import check_choice, check_number
from .prediction import PREDICTIONS, Conversion, conversion
from .process import Process, check_process

MATCHES = ("snr", "t")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a denoiser is evaluated for one timestep of the sampler."""

    t: float  # of the denoiser's process
    scale: float  # of the latent
    shift: float  # added to the latent, once scaled
    convert: Conversion  # of its prediction: to what the sampler asks for, or to its own x_0


class Matching:
    """How denoisers of a process and prediction answer a sampler; decided once, on the host.

    Two linear Gaussian paths differ in clock and scale alone: x_t at a log-SNR of one is, rescaled,
    x at the timestep of equal log-SNR of the other, with the same x_0 and eps. Beyond the ends of
    the denoiser's process the nearer end is taken. The same holds for a denoiser that was trained
    on latents of another scale and shift: its x_0 is scale * x_0 + shift, with the same eps.

    Args:
        sampler: its process, plan and the prediction it asks for.
        process: that the denoiser was trained on.
        prediction: of the denoiser: "eps", "x0", "v" or "velocity".
        match: "snr", or "t": the same t and x, as if it were trained on the sampler's process.
        latent_scale, latent_shift: of the denoiser's latents over the sampler's; a number above 0,
            and any number. With match "t" there are none.

    Raises:
        ValueError: a bad value, or a prediction that does not tell what the sampler asks for.
    """

    def __init__(
        self,
        sampler: Sampler,
        process: Process,
        prediction: str,
        match: str = "snr",
        latent_scale: float = 1.0,
        latent_shift: float = 0.0,
    ) -> None:
        self._given = check_choice("prediction", prediction, PREDICTIONS)
        check_choice("match", match, MATCHES)
        self._wanted = sampler.prediction
        self._outer = sampler.process
        self._inner = sampler.process if match == "t" else check_process(process)
        self._scale = check_number("latent_scale", latent_scale, 1e-6, 1e6)
        self._shift = check_number("latent_shift", latent_shift, -1e6, 1e6)
        self._rescaled = (latent_scale, latent_shift) != (1, 0)
        if self._rescaled and match == "t":
            raise ValueError(
                "match=t: takes latents as they are; leave out latent_scale and _shift"
            )
        # eps is the same of both; everything else is told by x_0.
        self._asked = self._wanted if not self._rescaled or self._wanted == "eps" else "x0"
        self._same = (
            self._inner == self._outer and self._given == self._wanted and not self._rescaled
        )
        self._place = cache(self._find)
        for step in () if self._same else sampler.plan:
            self._place(step.t)

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser as the sampler asks for it: itself, where nothing differs."""
        if self._same:
            return denoiser

        def matched(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            place = self._place(t)
            inner = x if place.scale == 1 else place.scale * x
            inner = inner + place.shift if place.shift else inner
            prediction, variance = denoiser(inner, place.t, y)
            answer = place.convert(inner, prediction.to(x.dtype))
            if self._rescaled and self._wanted != "eps":
                x_0 = (answer - self._shift) / self._scale
                alpha, sigma = float(self._outer.alpha(t)), float(self._outer.sigma(t))
                answer = conversion("x0", self._wanted, alpha, sigma)(x, x_0)
            return answer, variance

        return matched

    def own_time(self, t: float) -> float:
        """The timestep of the denoiser's process at one of the sampler's."""
        return t if self._same else self._place(t).t

    def _find(self, t: float) -> _Place:
        inner_t, scale = t, 1.0
        if self._inner != self._outer or self._rescaled:
            # Latents that are larger have more noise at the same log-SNR of theirs.
            inner_t = float(self._inner.time(self._outer.log_snr(t) - log(self._scale)))
            # sigma_d / sigma where log-SNR is equal, and good where alpha or sigma is 0.
            size = hypot(float(self._outer.alpha(t)) / self._scale, float(self._outer.sigma(t)))
            scale = hypot(self._inner.alpha(inner_t), self._inner.sigma(inner_t)) / size
        alpha, sigma = float(self._inner.alpha(inner_t)), float(self._inner.sigma(inner_t))
        convert = conversion(self._given, self._asked, alpha, sigma)
        return _Place(inner_t, scale, alpha * self._shift, convert)
