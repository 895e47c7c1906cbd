"""Trajectories that are looked into: the figures that do so, and the guided models along them."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import torch
from pydantic import BeforeValidator, ValidationInfo
from torch import Tensor

from samplers import Denoiser, sample
from tstitch.config import fields
from tstitch.maker.batches import draw_unit
from tstitch.maker.units import cut
from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.curves import Curve
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.plan import CurvePoint, denoiser_names, plan_points
from tstitch.paper.figure.settings import TWO, Reproduction
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.sampling.pipeline import Batch, Pipeline


def _images(value: Any, info: ValidationInfo) -> int:
    """The section's own number of images, or what replaces it."""
    return fields.context(info)["images"] or fields.whole(2)(value)


ProbeImages = Annotated[int, BeforeValidator(_images)]


class ProbeSettings(fields.Settings):
    """A trajectory that is looked into."""

    sampler: fields.Text
    steps: Annotated[int, fields.whole(2)]
    guidance: fields.NotNegative
    images: ProbeImages


def probe_point(
    probe: ProbeSettings, settings: Reproduction, models: tuple[str, ...]
) -> CurvePoint:
    """The run, all by the largest of the models, whose trajectory is looked into."""
    shares = tuple(float(role == models[-1]) for role in models)
    curve = Curve.model_construct(
        models=models,
        sampler=probe.sampler,
        steps=(probe.steps,),
        guidance=(probe.guidance,),
        mixes=(shares,),
        images=probe.images,
    )
    return plan_points((curve,), settings, whole=True, scored=False)[0]


class SampledFigure(Figure):
    """A figure that samples some images of its own, by its `probe` section."""

    models: ClassVar[tuple[str, ...]] = TWO  # those of the scale that it looks at

    probe: ProbeSettings

    @property
    def measurement(self) -> dict[str, Any]:
        return {"probe": self.probe.model_dump()}

    def check(self, settings: Reproduction) -> None:
        super().check(settings)
        self.point(settings)

    def point(self, settings: Reproduction) -> CurvePoint:
        """The run that it looks into, of the models that the scale has."""
        models = tuple(role for role in self.models if role in settings.scale.roles)
        return probe_point(self.probe, settings, models)


class ProbedFigure(SampledFigure):
    """One that looks into their trajectory; a kind says what for (`look`)."""

    record: ClassVar[type]  # a dataclass of plain JSON

    def measure(self, settings: Reproduction, cache: ModelCache, results: list[Result]) -> Any:
        point = self.point(settings)
        shared = cache.of(point.experiment)
        key = measurement_key(point.experiment, self, shared)
        found = measure_once(self, settings, key, lambda: look_on_main(self.look, point, shared))
        return self.record(**found)

    @abstractmethod
    def look(self, probe: "Probe") -> Any:
        """The kind's record, measured along the trajectory; on rank 0."""


class Trajectory(NamedTuple):
    """One model's way from noise to latents of images, evaluation by evaluation."""

    timesteps: list[float]
    latents: list[Tensor]  # before each evaluation, (n, C, H, W)
    predictions: list[Tensor]  # guided, of the same shape, float32
    x_0: Tensor


class Probe:
    """Guided denoisers of a pair, and the noise and labels of some images.

    Every rank makes one, for a point of `probe_point`; rank 0 looks.
    """

    def __init__(self, point: CurvePoint, shared: SharedModels) -> None:
        experiment = point.experiment
        self._pipeline = cast(Pipeline, shared.maker(experiment))  # of a PairExperiment
        distributed.everywhere(lambda: self._pipeline.prepare(every=True))
        names, size = denoiser_names(point.roles), experiment.run.batch_size
        self.roles = list(point.roles)
        self._names = {role: names[role] for role in point.roles}
        self._units = cut(point.images, size)

    def batches(self) -> list[Batch]:
        """Noise and labels of the images."""
        return [draw_unit(self._pipeline, unit)[0] for unit in self._units]

    @torch.inference_mode()
    def follow(self, role: str, batch: Batch) -> Trajectory:
        """Samples with one model alone."""
        timesteps, latents, predictions = list[float](), list[Tensor](), list[Tensor]()
        denoiser = self._pipeline.denoiser(self._names[role], batch)

        def recording(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            eps, variance = denoiser(x, t, y)
            timesteps.append(t)
            latents.append(x[: batch.size].clone())
            predictions.append(eps[: batch.size].float().clone())
            return eps, variance

        denoisers: Sequence[Denoiser] = [recording] * len(self.roles)
        x_0 = sample(self._pipeline.sampler, denoisers, batch.x_T, batch.y, batch.step_noise)
        return Trajectory(timesteps, latents, predictions, x_0[: batch.size])

    @torch.inference_mode()
    def predict(self, role: str, batch: Batch, x: Tensor, t: float) -> Tensor:
        """Another model's guided prediction at a place of a trajectory."""
        missing = len(batch.y) - len(x)
        padded = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        denoiser = self._pipeline.denoiser(self._names[role], batch)
        return denoiser(padded, t, batch.y)[0][: len(x)].float().clone()


def look_on_main(
    look: Callable[[Probe], Any], point: CurvePoint, shared: SharedModels
) -> dict[str, Any]:
    """The fields of the record that a look gives; rank 0 looks, which has all images.

    Every rank calls it alike.
    """
    probe = Probe(point, shared)
    return distributed.on_main(lambda: asdict(look(probe)))
