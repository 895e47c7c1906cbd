"""The `pair` section of pairs of pipelines as it is written, checked; nothing is read."""

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
    components: dict[str, fields.Text] = {}  # others in place of its own: {vae: SOURCE}
    control: ControlSection | None = None
    prompts: Annotated[tuple[str, ...], BeforeValidator(read_prompts)]
    negative_prompt: Annotated[str, A_TEXT] | None = None
    height: Side
    width: Side
    frames: fields.Count = 1  # of a video
    options: Mapped = {}  # further arguments of the pipeline's call
    guidance: GuidanceSection
    guided: fields.Flag = True  # false = the scale is an input of the network, or means nothing
    scheduler: SchedulerSection

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.control is not None and "ControlNet" not in self.pipeline:
            raise fields.refusal("control", f"{self.pipeline} takes none; give null")
        if self.control is None and "ControlNet" in self.pipeline:
            raise fields.refusal("control", f"{self.pipeline} needs one")
        return self

    def of_network(self, name: str) -> NetworkSection:
        """The checked section of one network.

        Raises:
            UserError: a bad field.
        """
        return NetworkSection.parse(self.networks[name], f"pair.networks.{name}")
