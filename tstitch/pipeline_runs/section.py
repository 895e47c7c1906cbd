"""The `pair` section of pairs of pipelines as it is written, checked; nothing is read."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Self

import diffusers
from pydantic import BeforeValidator, model_validator

from models.condition import read_prompts
from tstitch.config import fields
from tstitch.config.settings import GuidanceSection
from tstitch.pair.section import A_NAME, A_TEXT
from tstitch.pipeline_runs.scheduler import MAX_STEPS

A_PIPELINE = fields.Rule(
    lambda v: (
        isinstance(v, str)
        and isinstance(getattr(diffusers, v, None), type)
        and issubclass(getattr(diffusers, v), diffusers.DiffusionPipeline)
    ),
    "give a pipeline class of diffusers, e.g. StableDiffusionPipeline",
)
A_MAPPING = fields.Rule(fields.is_a(Mapping), "give a mapping of names and values")
NETWORKS = fields.Rule(
    lambda v: isinstance(v, Mapping) and len(v) >= 2, "name at least two, small to large"
)
HALVES = ("fp16", "bf16")
# Inputs of a pipeline that are not left to `options`.
SET_BY_RUNS = (
    "prompt", "negative_prompt", "height", "width", "num_frames", "num_inference_steps",
    "guidance_scale", "latents", "generator", "output_type", "return_dict", "image",
    "control_image", "controlnet_conditioning_scale",
)  # fmt: skip
Mapped = Annotated[dict[str, Any], A_MAPPING]
Side = Annotated[int, fields.whole(8, 8192)]


class NetworkSection(fields.Settings):
    """One of the networks."""

    source: fields.Text  # folder or hub name of its pipeline, or shipped:FOLDER
    network: fields.Text | None = None  # folder or hub name of the network alone, in its place
    lora: fields.Text | None = None  # folder, file or hub name of a LoRA that is loaded in it
    flops: fields.Count | None = None  # of an evaluation, where they cannot be counted


class ControlSection(fields.Settings):
    """A ControlNet and its images."""

    network: fields.Text  # folder or hub name
    images: fields.PathText | None  # folder; the k-th of N images is of prompts k, k + N, ...
    scale: fields.NotNegative


class SchedulerSection(fields.Settings):
    """What a pair says in place of null in the `sampler` section."""

    scheduler: fields.Text | None = None
    options: Mapped = {}
    steps: Annotated[int, fields.whole(1, MAX_STEPS)]


class PipelineSection(fields.Settings):
    """A pipeline, the networks that it is stitched of, and prompts; see docs/pipelines.md."""

    path = "pair"

    name: Annotated[str, A_NAME, fields.TEXT]
    made_by: Any = None  # for tstitch.maker.parse
    evaluation: Any = None  # for configs/evaluation/pair.yaml
    pipeline: Annotated[str, A_PIPELINE]
    networks: Annotated[dict[str, Any], NETWORKS]  # the last one's pipeline runs
    components: dict[str, fields.Text | None] = {}  # others in place of its own; null = without
    control: ControlSection | None = None
    prompts: Annotated[tuple[str, ...], BeforeValidator(read_prompts)]
    negative_prompt: Annotated[str, A_TEXT] | None = None
    height: Side
    width: Side
    frames: fields.Count = 1  # of a video
    fps: fields.Count = 16  # frames per second, of the file of a video
    accelerate: Mapped | None = (
        None  # {kind: deepcache, cache_interval: 3}, or {kind: tome, ratio: 0.5}
    )
    options: Mapped = {}  # further arguments of the pipeline's call
    guidance: GuidanceSection
    guided: fields.Flag = True  # false = the scale is an input of the network, or means nothing
    dtype: Annotated[str, fields.one_of(HALVES)] = "fp16"  # what run.dtype=auto comes to on a GPU
    float32: Annotated[tuple[str, ...], fields.names()] = ()  # components that stay so: [vae]
    scheduler: SchedulerSection

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.control is not None and "ControlNet" not in self.pipeline:
            raise fields.refusal("control", f"{self.pipeline} takes none; give null")
        if self.control is None and "ControlNet" in self.pipeline:
            raise fields.refusal("control", f"{self.pipeline} needs one")
        if self.frames > 1 and "num_frames" not in self.inputs:
            raise fields.refusal("frames", f"{self.pipeline} makes images; give 1")
        for name in self.options:
            if name in SET_BY_RUNS:
                raise fields.refusal(f"options.{name}", "runs set it; leave it out", show=False)
            if name not in self.inputs:
                remedy = f"{self.pipeline} does not take it; leave it out"
                raise fields.refusal(f"options.{name}", remedy, show=False)
        return self

    @property
    def inputs(self) -> frozenset[str]:
        """What a call of the pipeline takes."""
        return frozenset(inspect.signature(getattr(diffusers, self.pipeline).__call__).parameters)

    def of_network(self, name: str) -> NetworkSection:
        """The checked section of one network.

        Raises:
            UserError: a bad field.
        """
        return NetworkSection.parse(self.networks[name], f"pair.networks.{name}")
