"""A stitched pipeline of diffusers over prompts: the second maker of images, as configured."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from evaluation.cost.flops import NetworkCost
from models.download import sha256_of
from samplers import OnlineSchedule, StitchSchedule
from samplers.stitch import Budget, ResolvedSchedule
from tstitch.config import fields
from tstitch.config.cli import instantiate, locate, not_a
from tstitch.config.groups import all_large
from tstitch.config.settings import GuidanceSection, GuidanceSettings, RunSettings
from tstitch.engine.settings import Engine, EngineSettings
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import SECTIONS, Experiment, Weights
from tstitch.pipeline_runs.control import image_files
from tstitch.pipeline_runs.loaded import LoadedPipeline
from tstitch.pipeline_runs.maker import PipelineMaker
from tstitch.pipeline_runs.plan import Plan
from tstitch.pipeline_runs.scheduler import PipelineScheduler
from tstitch.pipeline_runs.section import PipelineSection
from tstitch.runtime.errors import UserError, errors_of
from tstitch.scoring.settings import EvaluationSettings
from tstitch.tracking.tracker import TrackingSettings

PROPAGATION = ("propagate", "injection")  # options of a schedule that are off here
CHANNELS = 0  # of guidance: pipelines guide all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineExperiment(Experiment):
    """Everything that a run needs to know before a pipeline is loaded."""

    plan: Plan
    scale: float

    @classmethod
    def parse(cls, config: dict[str, Any], stitched: bool = True) -> Self:
        fields.check_sections(config, SECTIONS)
        section = PipelineSection.parse(config["pair"])
        networks = {str(name): section.of_network(name) for name in section.networks}
        _check_measured(config["stitch"])
        if not stitched:
            config = config | {"stitch": all_large(len(networks))}
        plan = Plan(section, networks, _sampler(config["sampler"], section))
        scale = _scale(config["guidance"], section)
        plan.check()
        schedule = _schedule(plan, config["stitch"])
        in_step = 2 if section.guided and scale > 1 else 1
        return cls(
            config=config,
            run=RunSettings.parse(config["run"], context={"num_classes": len(section.prompts)}),
            engine=_engine(config["engine"], section.dtype),
            evaluation=EvaluationSettings.parse(config["evaluation"]),
            tracking=TrackingSettings.parse(config["tracking"]),
            name=section.name,
            image_shape=(section.frames * section.height, section.width),
            frames=section.frames,
            fps=section.fps,
            conditions=section.prompts,
            has_prompts=True,
            denoisers=dict.fromkeys(networks, in_step),
            schedule=schedule,
            title=_title(plan, scale),
            plan=plan,
            scale=scale,
        )

    @property
    def step_evaluations(self) -> tuple[int, ...]:
        return self.plan.grid.evaluations

    def with_stitch(self, section: dict[str, Any]) -> Self:
        config = self.config | {"stitch": section}
        return replace(self, config=config, schedule=_schedule(self.plan, section))

    def folder_name(self, schedule: str) -> str:
        """`pndm50-SCHEDULE-cfg7.5`."""
        name = type(self.plan.scheduler).__name__.removesuffix("Scheduler").lower()
        return f"{name}{self.plan.sampler.steps}-{schedule}-cfg{self.scale:g}"

    def protocol(self) -> dict[str, dict[str, Any]]:
        scheduler = type(self.plan.scheduler)
        return {
            "sampler": {
                "_target_": f"diffusers.{scheduler.__name__}",
                "steps": self.plan.sampler.steps,
                **self.plan.sampler.options,
            },
            "stitch": {k: v for k, v in self.config["stitch"].items() if k not in PROPAGATION},
            "guidance": {"scale": self.scale},
        }

    def costs(self) -> dict[str, NetworkCost]:
        return self.plan.costs

    def fetch(self) -> None:
        """Networks and all other parts of the pipeline that runs."""
        self.weights()
        self.plan.parts_digests()
        self._additions()

    def weights(self) -> dict[str, Weights]:
        return {name: Weights(self.plan.weights_digest(name)) for name in self.denoisers}

    def identity(self, weights: Mapping[str, Weights], engine: Engine) -> Identity:
        section = self.plan.section
        texts = json.dumps([*section.prompts, section.negative_prompt]).encode()
        scheduler = self.plan.scheduler
        options = {k: v for k, v in scheduler.config.items() if not k.startswith("_")}
        values = {
            "pipeline": section.pipeline,
            "weights": {name: w.sha256 for name, w in weights.items()},
            "parts": self.plan.parts_digests(),
            "prompts": hashlib.sha256(texts).hexdigest(),
            "size": [section.frames, section.height, section.width],
            "float32": sorted(section.float32),
            "sampler": {"scheduler": type(scheduler).__name__, "steps": self.plan.sampler.steps}
            | {"options": json.loads(json.dumps(options, default=str))},
            "options": dict(section.options),
            "schedule": [*self.schedule],
            "guidance": {"scale": self.scale},
            **self.run_identity(engine),
            **self._additions(),
        }
        return Identity(values)

    def _additions(self) -> dict[str, Any]:
        """LoRAs, control images and accelerations."""
        section = self.plan.section
        found: dict[str, Any] = {}
        if section.accelerate is not None:
            found["accelerate"] = dict(section.accelerate)
        files = {name: self.plan.lora(name) for name in self.plan.networks}
        loras = {name: sha256_of(path) for name, path in files.items() if path is not None}
        if loras:
            found["loras"] = loras
        if section.control is not None:
            images = [sha256_of(path) for path in image_files(section.control)]
            found["control"] = {"scale": section.control.scale, "images": images}
        return found

    def load(self, engine: Engine) -> LoadedPipeline:
        """The pipeline that runs, stitched."""
        return LoadedPipeline(self.plan, engine)

    def maker(self, loaded: LoadedPipeline) -> PipelineMaker:
        """Makes the images with this experiment's schedule."""
        return PipelineMaker(self, self.plan, self.scale, loaded)


def _sampler(section: Any, pair: PipelineSection) -> PipelineScheduler:
    own = pair.scheduler
    with errors_of("pair.scheduler."):
        default = PipelineScheduler(own.scheduler, own.options, own.steps)
    kind = _kind(section, "sampler")
    if kind is not PipelineScheduler:
        raise UserError(
            f"sampler._target_={section['_target_']}: pair {pair.name} is a pipeline; choose "
            "sampler=scheduler, and sampler.scheduler=CLASS of diffusers"
        )
    sampler: PipelineScheduler = instantiate(section, "sampler")
    return sampler.over(default)


def _kind(section: Any, path: str) -> Any:
    """The class that a section names, None if it names none: instantiate says so."""
    target = section.get("_target_") if isinstance(section, Mapping) else None
    return None if target is None else locate(target, f"{path}._target_")


def _check_measured(section: Any) -> None:
    """Refuses schedules that are found by looking into trajectories, before anything is loaded."""
    kind = _kind(section, "stitch")
    measured = isinstance(kind, type) and issubclass(kind, ResolvedSchedule)
    if measured and not issubclass(kind, Budget) and not section.get("models"):
        raise UserError(
            f"stitch._target_={section['_target_']}: runs do not look into a pipeline's steps; "
            "choose another, or give stitch.models (tstitch.calibrate finds some)"
        )


def _stitch(section: Any) -> StitchSchedule:
    stitch = instantiate(section, "stitch")
    if not isinstance(stitch, StitchSchedule):
        raise not_a(section, "stitch", "StitchSchedule")
    if stitch.propagate is not None or stitch.injection:
        raise UserError(
            f"stitch.propagate={stitch.propagate}: a pipeline's own loop runs whole networks; "
            "choose a pair of denoisers, e.g. pair=emoji, or null with injection 0"
        )
    if isinstance(stitch, OnlineSchedule):
        kind = type(stitch).__name__
        raise UserError(
            f"stitch={kind}: it decides per image, which pipelines cannot; choose another"
        )
    return stitch


def _schedule(plan: Plan, section: Any) -> tuple[int, ...]:
    """Of each evaluation of the schedule."""
    steps = zip(plan.models(_stitch(section)), plan.grid.evaluations, strict=True)
    return tuple(model for model, count in steps for _ in range(count))


def _scale(section: Any, pair: PipelineSection) -> float:
    if isinstance(section, Mapping) and "guide" in section:
        raise UserError("guidance=auto: pipelines cannot; choose guidance=cfg")
    default = pair.guidance.over(GuidanceSettings(1.0, CHANNELS))
    given = GuidanceSection.parse(section).over(default)
    if given.channels != CHANNELS:
        raise UserError(f"guidance.channels={given.channels}: pipelines guide all; set null")
    return given.scale


def _engine(section: Any, half: str) -> EngineSettings:
    engine = EngineSettings.parse(section)
    if engine.cuda_graphs:
        raise UserError("engine.cuda_graphs=true: pipelines cannot be recorded; choose auto")
    # Published pipelines are made to run in half precision.
    return engine.model_copy(update={"cuda_graphs": False, "sixteen_bits": True, "half": half})


def _title(plan: Plan, scale: float) -> str:
    name = type(plan.scheduler).__name__.removesuffix("Scheduler")
    own = plan.accelerator()
    beside = "" if own is None else f", {own.title}"
    return f"{name} {plan.sampler.steps} steps, guidance {scale:g}{beside}"
