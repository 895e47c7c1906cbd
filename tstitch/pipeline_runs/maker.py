"""Images and videos of prompts, by a stitched pipeline."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.cost.timing import StageTimer
from samplers.randomness import STEP, PerImageRandomness, image_generator
from tstitch.engine.settings import Engine
from tstitch.maker.protocol import DECODE, DENOISE, LOOP, Experiment
from tstitch.pipeline_runs.control import control_images
from tstitch.pipeline_runs.decoding import DecodeMark
from tstitch.pipeline_runs.loaded import LoadedPipeline
from tstitch.pipeline_runs.plan import Plan
from tstitch.pipelines.hook import Around
from tstitch.pipelines.schedule import choose_schedule
from tstitch.runtime.errors import UserError

Call = tuple[int, Sequence[Any], Mapping[str, Any]]  # turn, arguments and keywords of a network


@dataclass(frozen=True, slots=True)
class Batch:
    """What the images of a batch begin with.

    Args:
        size: images wanted; the rows after them are padding.
        x_T: float32 (N, ...) on the host.
        inputs: of the pipeline's call, beside.
        noise: seed and indices, of the scheduler's noise.
    """

    size: int
    x_T: Tensor
    inputs: dict[str, Any]
    noise: tuple[int, tuple[int, ...]]

    def generators(self) -> list[torch.Generator]:
        """Of the scheduler's noise, one for each image, at their beginning."""
        seed, indices = self.noise
        return [image_generator(seed, index, STEP) for index in indices]


class PipelineMaker:
    """A SteppedMaker (tstitch.maker.protocol).

    Args:
        experiment: whose images it makes.
        plan: of the experiment.
        scale: of guidance.
        loaded: of its pair.
    """

    def __init__(
        self, experiment: Experiment, plan: Plan, scale: float, loaded: LoadedPipeline
    ) -> None:
        self.experiment, self._loaded = experiment, loaded
        self._plan, self._scale = plan, scale
        self._scheduler = plan.sampler.build(loaded.scheduler, "sampler")
        self._schedule = choose_schedule(None, None, None, list(experiment.step_models))
        self._calls: dict[int, list[Call]] = {}  # of the first turn, by size of the batch

    @property
    def engine(self) -> Engine:
        """How it computes."""
        return self._loaded.engine

    def prepare(self, every: bool = False) -> dict[str, float]:
        """Nothing: what is compiled is compiled in the first batch."""
        return {}

    def draw(self, indices: Sequence[int], labels: Tensor, *, seed: int) -> Batch:
        """x_T of image i is that of any other run with this seed, space and index."""
        section = self._plan.section
        size = len(indices)
        missing = self.experiment.run.batch_size - size if self.engine.static_shapes else 0
        rows = [*range(size), *[size - 1] * missing]
        padded = tuple(indices[row] for row in rows)
        drawn = PerImageRandomness(seed, padded, self._plan.latent_shape)
        chosen = labels[rows].tolist()
        inputs: dict[str, Any] = {"prompt": [section.prompts[label] for label in chosen]}
        if section.guided and section.negative_prompt is not None:
            inputs["negative_prompt"] = [section.negative_prompt] * len(chosen)
        if section.control is not None:
            images = control_images(section.control, chosen, (section.width, section.height))
            name = "control_image" if "control_image" in section.inputs else "image"
            inputs |= {name: images, "controlnet_conditioning_scale": section.control.scale}
        return Batch(size, drawn.initial(), inputs, (seed, padded))

    @torch.no_grad()
    def sample(self, batch: Batch, timer: StageTimer) -> "Made":
        """The images of a batch, whole, on the host."""
        begin = timer.mark()
        with DecodeMark(self._loaded.pipe, timer) as decoding:
            out = self._run(batch, "np", self._timed(timer))
        end = timer.mark()
        self._check_steps()
        middle = decoding.mark if decoding.mark is not None else end
        timer.add(LOOP, begin, middle)
        timer.add(DECODE, middle, end)
        found = out.frames if hasattr(out, "frames") else out.images
        return Made(np.asarray(found)[: batch.size], self.experiment.image_shape)

    @torch.no_grad()
    def denoise(self, batch: Batch, timer: StageTimer) -> Tensor:
        """The pipeline's latents, before they are images."""
        with timer.stage(LOOP):
            out = self._run(batch, "latent", self._timed(timer))
        self._check_steps()
        found: Tensor = out.frames if hasattr(out, "frames") else out.images
        return found.float()

    @torch.no_grad()
    def evaluate(self, model: int, batch: Batch) -> None:
        """One step of a network, as the pipeline calls it in its first step."""
        size = len(batch.x_T)
        if size not in self._calls:
            self._calls[size] = self._first_calls(batch)
        hook, network = self._loaded.hook, self._loaded.network
        if self.engine.offload:
            network.to(self.engine.device)  # no pipeline brings it there
        for _, arguments, keywords in self._calls[size]:
            hook.run_network(model, network, arguments, dict(keywords))

    def _first_calls(self, batch: Batch) -> list[Call]:
        """What the largest network is called with in the first turn of the loop."""
        calls: list[Call] = []
        pipe, hook = self._loaded.pipe, self._loaded.hook

        def keep(model: int, *call: Any) -> AbstractContextManager[None]:
            if not calls or hook.turn == calls[0][0]:
                calls.append((hook.turn, *call))
            pipe._interrupt = True  # the rest of the loop is left out, where the pipeline can
            return nullcontext()

        self._run(batch, "latent", keep)
        return calls

    def _timed(self, timer: StageTimer) -> Around:
        names = list(self.experiment.denoisers)

        def clocked(model: int, *call: Any) -> AbstractContextManager[None]:
            return timer.stage(DENOISE + names[model])

        return clocked

    def _run(self, batch: Batch, output: str, around: Around) -> Any:
        section, loaded, hook = self._plan.section, self._loaded, self._loaded.hook
        loaded.pipe.scheduler = self._scheduler
        hook.schedule, hook.around = self._schedule, around
        if loaded.accelerator is not None:
            loaded.accelerator.begin()
        inputs = {
            **section.options,
            **batch.inputs,
            "height": section.height,
            "width": section.width,
            "num_inference_steps": self._plan.sampler.steps,
            "guidance_scale": self._scale,
            "latents": batch.x_T.to(self.engine.device, self.engine.dtype),
            "generator": batch.generators(),
            "output_type": output,
            **({"num_frames": section.frames} if "num_frames" in section.inputs else {}),
        }
        try:
            return loaded.pipe(**inputs)
        except (TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            reason = " ".join(str(error).split())
            raise UserError(f"pair.pipeline={section.pipeline}: {reason}") from error

    def _check_steps(self) -> None:
        """Refuses a run of other steps than those that were planned and are reported."""
        ran, planned = self._loaded.hook.realised, self.experiment.step_models
        assert ran is not None
        if ran.models != planned:
            raise UserError(
                f"pair.pipeline={self._plan.section.pipeline}: it ran {ran}, and "
                f"{len(planned)} steps were planned; give sampler.steps that it takes"
            )


class Made:
    """Images that are there already.

    Args:
        values: float (N, H, W, 3), or (N, F, H, W, 3), in [0, 1].
        shape: of an image; the frames of a video are below each other.
    """

    def __init__(self, values: np.ndarray, shape: tuple[int, int]) -> None:
        self._values, self._shape = values, shape

    def wait(self) -> np.ndarray:
        """uint8 (N, H, W, 3).

        Raises:
            UserError: values that are not finite.
        """
        values = self._values.reshape(len(self._values), *self._shape, 3)
        if not np.isfinite(values).all():
            raise UserError(
                "run.dtype: the pipeline made images that are not finite; choose run.dtype=bf16 or "
                "fp32, or another autoencoder (pair.components.vae)"
            )
        return (values * 255).round().astype(np.uint8)
