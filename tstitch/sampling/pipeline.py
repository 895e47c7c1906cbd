"""Loaded denoisers under a sampler: indices and labels in, images out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.cost.timing import StageTimer
from samplers import (
    Autoguidance,
    Denoiser,
    Matching,
    NoiseInjection,
    OnlineDenoiser,
    OnlineSchedule,
    PerImageRandomness,
    PropagatedDenoiser,
    Propagation,
    Sampler,
    VarianceError,
    sample,
)
from samplers.propagation import Group
from tstitch.maker.protocol import DECODE, DENOISE, LOOP, Experiment, Trajectory
from tstitch.runtime.errors import UserError, errors_of
from tstitch.runtime.transfer import HostCopy, to_device
from tstitch.sampling.batch import Batch
from tstitch.sampling.disagreement import disagreement
from tstitch.sampling.loaded_pair import Launched, LoadedPair
from tstitch.sampling.predictions import predictions
from tstitch.sampling.trials import BatchTrials


@dataclass(frozen=True, slots=True)
class PairedDenoiser:
    """A denoiser of the pair between its network and the sampler."""

    name: str
    launched: Launched
    matching: Matching
    null_draw: tuple[int, ...] = ()  # what an image brings along for its null condition
    group: Group | None = None  # where its steps share encodings, in place of `launched`

    def answering(self, null: Tensor | None, propagation: Propagation | None = None) -> Denoiser:
        """As the sampler asks for it, for the images of a batch.

        Args:
            null: (N, *null_draw); None if there is nothing to bring.
            propagation: which steps share an encoding, if it has a `group`.
        """
        if self.group is not None and propagation is not None:
            return PropagatedDenoiser(self.group, self.matching, propagation)
        return self.matching(self.launched if null is None else _with_null(self.launched, null))


def _with_null(launched: Launched, null: Tensor) -> Denoiser:
    def denoiser(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        return launched(x, t, y, null)

    return denoiser


class Sampled:
    """Images of a batch on their way to the host.

    Args:
        images: uint8 (n, H, W, 3).
        finite: bool (2, n), whether the latents of an image are, and what they are decoded to.
        precision: of the denoisers, for the message.
        space: what decoded them, for the message.
        steps: evaluations of the plan by each denoiser, int32 (n, denoisers); None = as planned.
    """

    def __init__(
        self,
        images: Tensor,
        finite: Tensor,
        precision: str,
        space: Any,
        steps: np.ndarray | None = None,
    ) -> None:
        self._images, self._finite = HostCopy(images), HostCopy(finite)
        self._precision, self._space = precision, space
        self.steps = steps

    def wait(self) -> np.ndarray:
        """The images uint8 (n, H, W, 3), once they are there.

        Raises:
            UserError: latents or images that are infinite or not a number, which uint8 would hide.
        """
        images, (latents, decoded) = self._images.wait(), self._finite.wait()
        if not latents.all():
            raise _not_finite("run.dtype", self._precision, latents, "images of a batch", "weights")
        if not decoded.all():
            dtype = getattr(self._space, "precision", "fp32")
            what = "images of a batch, once decoded,"
            raise _not_finite("pair.space.dtype", dtype, decoded, what, "autoencoder's weights")
        return images


def _not_finite(field: str, dtype: str, finite: np.ndarray, what: str, cause: str) -> UserError:
    remedy = "" if dtype == "fp32" else f"choose {field}=fp32, or "
    return UserError(
        f"{field}={dtype}: {(~finite).sum()} of {len(finite)} {what} are infinite or not a "
        f"number; {remedy}check the {cause}"
    )


class Pipeline:
    """A sampler and its stitch schedule over loaded denoisers.

    A tstitch.maker.protocol.TracedMaker.

    Args:
        experiment: the checked configuration.
        sampler: with its stitch schedule.
        loaded: the networks of its pair.
        denoisers: small to large.
        autoguidance: of the larger ones; None = they guide themselves, if at all.
    """

    def __init__(
        self,
        experiment: Experiment,
        sampler: Sampler,
        loaded: LoadedPair,
        denoisers: Sequence[PairedDenoiser],
        autoguidance: Autoguidance | None = None,
    ) -> None:
        self.experiment, self.sampler = experiment, sampler
        self.engine = loaded.engine
        self._device = loaded.engine.device
        self._denoisers = tuple(denoisers)
        self._guided: Callable[[Sequence[Denoiser]], list[Denoiser]] = autoguidance or list
        self._space = loaded.space
        self._propagation = Propagation.of(sampler)
        self._prepared = False

    @property
    def own_prediction(self) -> str:
        """What networks of the process are said to predict."""
        return self.sampler.process.prediction

    @torch.inference_mode()
    def prepare(self, every: bool = False) -> dict[str, float]:
        """Compiles and records what the schedule uses, before the first batch needs it.

        Args:
            every: all denoisers of the pair, for what looks at them besides.

        Returns:
            Seconds by denoiser; empty where there is nothing to prepare, or no longer.

        Raises:
            UserError: a network that cannot be compiled or recorded.
        """
        seconds: dict[str, float] = {}
        if self._prepared or not self.engine.static_shapes:
            return seconds
        size, shape = self.experiment.run.batch_size, self._space.shape
        x = torch.zeros((size, *shape), device=self._device)
        y = torch.zeros(size, dtype=torch.int64, device=self._device)
        plan = self.sampler.plan
        names = [one.name for one in self._denoisers]
        first = {
            names.index(name): step.t
            for step in reversed(plan)
            for name in self.experiment.evaluations_in_step(names[step.model])
        }
        if every or isinstance(self.sampler.stitch, OnlineSchedule):
            first = dict.fromkeys(range(len(names)), plan[0].t) | first
        batch = Batch(size, x, y, lambda: x, self._nulls(lambda _, own: x.new_zeros((size, *own))))
        # The largest first: what the others need fits into its memory.
        for model, t in sorted(first.items(), reverse=True):
            started, name = time.perf_counter(), self._denoisers[model].name
            try:
                self._network(model, batch)(x, t, y)
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)
            except (UserError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # compilers raise nearly anything
                line = " ".join(str(error).split())[:200]
                raise UserError(
                    f"engine: {name} cannot be compiled or recorded ({line}); choose engine=plain"
                ) from error
            seconds[name] = time.perf_counter() - started
        self._prepared = True
        return seconds

    @torch.inference_mode()
    def draw(self, indices: Sequence[int], labels: Tensor, *, seed: int) -> Batch:
        """Noise and labels of a batch; host work that may run while another batch is sampled.

        Args:
            indices: image i is a function of (seed, i), its label and the experiment.
            labels: (N,) int64, one per index.
        """
        size = len(indices)
        missing = self.experiment.run.batch_size - size if self.engine.static_shapes else 0
        rows = [*range(size), *[size - 1] * missing]
        shape = self._space.shape
        padded = [indices[row] for row in rows]
        randomness = PerImageRandomness(seed, padded, shape, device=self._device)
        y = to_device(labels[rows], self._device)
        x_T = self.sampler.process.prior_std * randomness.initial()
        return Batch(size, x_T, y, randomness.step, self._nulls(randomness.null))

    def denoiser(self, name: str, batch: Batch) -> Denoiser:
        """A denoiser as the sampler asks for it, for the images of a batch."""
        names = [denoiser.name for denoiser in self._denoisers]
        return self._answers(batch)[names.index(name)]

    def _network(self, model: int, batch: Batch) -> Denoiser:
        return self._denoisers[model].answering(batch.nulls.get(model))

    def _answers(
        self,
        batch: Batch,
        timer: StageTimer | None = None,
        propagation: Propagation | None = None,
    ) -> list[Denoiser]:
        """The denoisers as the sampler asks for them; a timer counts each network's own time.

        With a propagation they are for one trajectory of the batch, from its first step.
        """
        networks = [
            one.answering(batch.nulls.get(model), propagation)
            for model, one in enumerate(self._denoisers)
        ]
        if timer is not None:
            stages = [DENOISE + one.name for one in self._denoisers]
            networks = [_timed(n, timer, s) for n, s in zip(networks, stages, strict=True)]
        return self._guided(networks)

    def _walked(
        self, batch: Batch, timer: StageTimer | None = None
    ) -> tuple[Sampler, list[Denoiser]]:
        """What one trajectory of the batch is walked with, its steps' shared encodings included."""
        sampler, propagation = self.sampler, self._propagation
        if propagation is not None and propagation.injection:
            sampler = NoiseInjection(sampler, propagation.injection, batch.x_T)
        return sampler, self._answers(batch, timer, propagation)

    def _nulls(self, draw: Callable[[int, tuple[int, ...]], Tensor]) -> dict[int, Tensor]:
        """What images bring along, of the denoisers whose null condition needs it."""
        shapes = {place: one.null_draw for place, one in enumerate(self._denoisers)}
        return {place: draw(place, shape) for place, shape in shapes.items() if shape}

    @torch.inference_mode()
    def evaluate(self, model: int, batch: Batch) -> None:
        """One guided evaluation of a denoiser at x_T, for its time alone."""
        self._answers(batch)[model](batch.x_T, self.sampler.plan[0].t, batch.y)

    @torch.inference_mode()
    def denoise(self, batch: Batch, timer: StageTimer) -> Tensor:
        """The latents x_0 of a batch, shape of batch.x_T, float32."""
        return self._denoise(batch, timer)[0]

    def _denoise(self, batch: Batch, timer: StageTimer) -> tuple[Tensor, np.ndarray | None]:
        """The latents; and, where they are decided on the way, evaluations by each denoiser."""
        sampler, denoisers = self._walked(batch, timer)
        if not isinstance(sampler.stitch, OnlineSchedule):
            with timer.stage(LOOP):
                return sample(sampler, denoisers, batch.x_T, batch.y, batch.step_noise), None
        # Nulls that images bring along are bound to the whole batch.
        split = not (self.engine.static_shapes or batch.nulls)
        online = OnlineDenoiser(sampler, denoisers, len(batch.y), split)
        every = [online] * len(denoisers)
        with timer.stage(LOOP), errors_of("stitch: ", VarianceError):
            x_0 = sample(sampler, every, batch.x_T, batch.y, batch.step_noise)
        return x_0, online.evaluations[: batch.size]

    @torch.inference_mode()
    def disagreement(self, batch: Batch, compare: str) -> Tensor:
        """Of the first denoiser and the last, (steps, batch.size); see `disagreement`."""
        return disagreement(self.sampler, self._answers(batch), batch, compare)

    @torch.inference_mode()
    def trajectory(self, batch: Batch) -> Trajectory:
        """What the images are predicted to be, evaluation by evaluation."""
        sampler, answers = self._walked(batch)
        found = predictions(sampler, answers, batch, lambda x_0: self._decode(x_0)[0])
        return Trajectory(
            found.numpy(),
            tuple(step.t for step in self.sampler.plan),
            tuple(step.model for step in self.sampler.plan),
        )

    def trials(self, batch: Batch) -> BatchTrials:
        """The batch under other schedules than the sampler's."""
        return BatchTrials(self.sampler, self._answers(batch), batch)

    @torch.inference_mode()
    def sample(self, batch: Batch, timer: StageTimer) -> Sampled:
        """The images of a batch; on CUDA they are under way when this returns.

        Waiting for them tells whether they are finite.
        """
        x_0, steps = self._denoise(batch, timer)
        with timer.stage(DECODE):
            finite = torch.isfinite(x_0).flatten(1).all(1)
            images, decoded = self._decode(x_0)
            both = torch.stack([finite, decoded])[:, : batch.size]
        return Sampled(images[: batch.size], both, self.engine.precision, self._space, steps)

    def _decode(self, x_0: Tensor) -> tuple[Tensor, Tensor]:
        """Images, and which of them are finite, as far as the space tells."""
        if hasattr(self._space, "decode_checked"):
            return self._space.decode_checked(x_0)
        return self._space.decode(x_0), torch.ones(len(x_0), dtype=torch.bool, device=x_0.device)


def _timed(denoiser: Denoiser, timer: StageTimer, stage: str) -> Denoiser:
    def timed(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        with timer.stage(stage):
            return denoiser(x, t, y)

    return timed
