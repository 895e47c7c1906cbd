"""A pair of denoisers under a sampler: the first maker of images, as configured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from evaluation.cost.flops import NetworkCost
from models.condition import Prompts
from samplers import (
    MATCHES,
    Autoguidance,
    LinearVP,
    Matching,
    Misfit,
    OnePass,
    OnlineSchedule,
    Propagation,
    Sampler,
    StitchSchedule,
)
from tstitch.config import fields
from tstitch.config.cli import identified, instantiate, not_a
from tstitch.config.groups import all_large
from tstitch.config.settings import GuidanceSettings, RunSettings, parse_guidance
from tstitch.engine.settings import Engine, EngineSettings
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import SECTIONS, Experiment, SharedEncoder, Weights
from tstitch.pair.network_cost import network_costs, part_flops
from tstitch.pair.spec import DenoiserSpec, PairSpec, locate_entry, locate_weights, parse_pair
from tstitch.pair.weights import newly_read, weights_digest
from tstitch.runtime.errors import UserError, errors_of
from tstitch.sampling.loaded_pair import LoadedPair
from tstitch.sampling.pipeline import PairedDenoiser, Pipeline
from tstitch.sampling.propagated import (
    check_propagation,
    engine_for,
    in_words,
    propagation_identity,
    without_off,
)
from tstitch.scoring.settings import EvaluationSettings
from tstitch.tracking.tracker import TrackingSettings

PIPELINES = "tstitch.pipeline_runs.scheduler.PipelineScheduler"  # what they have for samplers


@dataclass(frozen=True, slots=True, kw_only=True)
class PairExperiment(Experiment):
    """Everything that a run needs to know before a model is loaded."""

    pair: PairSpec
    sampler: Sampler
    guidance: GuidanceSettings

    @classmethod
    def parse(cls, config: dict[str, Any], stitched: bool = True) -> Self:
        fields.check_sections(config, SECTIONS)
        pair = parse_pair(config["pair"])
        if not stitched:
            config = config | {"stitch": all_large(len(pair.denoisers))}
        sampler = _parse_sampler(config, _parse_stitch(config), pair)
        names = [spec.name for spec in pair.denoisers]
        guidance = parse_guidance(config["guidance"], pair.guidance, names)
        for spec in pair.denoisers:
            scale = guidance.scale_of(spec.name)
            if scale != 1 and not spec.has_null:
                remedy = "has no null condition to be guided from; set guidance.scale=1"
                raise UserError(f"guidance.scale={scale:g}: {spec.name} {remedy}")
        engine = engine_for(sampler, EngineSettings.parse(config["engine"]))
        return cls(
            config=config,
            run=RunSettings.parse(config["run"], context={"num_classes": pair.num_classes}),
            engine=engine.model_copy(update={"sixteen_bits": pair.sixteen_bits}),
            evaluation=EvaluationSettings.parse(config["evaluation"]),
            tracking=TrackingSettings.parse(config["tracking"]),
            name=pair.name,
            image_shape=(pair.space.image_size,) * 2,
            conditions=pair.class_names,
            has_prompts=isinstance(pair.condition, Prompts),
            denoisers={name: guidance.evaluations(name) for name in names},
            guides=guidance.guides(names),
            schedule=_schedule(sampler),
            online=_online(sampler),
            title=_title(config["sampler"], sampler, guidance),
            pair=pair,
            sampler=sampler,
            guidance=guidance,
        )

    @property
    def step_evaluations(self) -> tuple[int, ...]:
        return self.sampler.evaluations

    def with_stitch(self, section: dict[str, Any]) -> Self:
        config = self.config | {"stitch": section}
        sampler = _parse_sampler(config, _parse_stitch(config), self.pair)
        engine = engine_for(sampler, self.engine)
        changed = replace(
            self, config=config, engine=engine, sampler=sampler, schedule=_schedule(sampler)
        )
        return replace(changed, online=_online(sampler))

    def folder_name(self, schedule: str) -> str:
        """`ddim20-SCHEDULE-cfg1.5`, or auto1.5."""
        kind, scale = type(self.sampler).__name__.lower(), self.guidance.scale
        if self.propagation is not None:
            schedule += f"-keys{len(self.propagation.groups)}"
        guided = "auto" if self.guidance.guide else "cfg"
        joint = "-" if kind[-1].isdigit() else ""
        return f"{kind}{joint}{self.sampler.steps}-{schedule}-{guided}{scale:g}".replace("+", "")

    def protocol(self) -> dict[str, dict[str, Any]]:
        """Sampler, stitch schedule and guidance; process and predictions if not the usual ones."""
        return {
            "sampler": {**self.config["sampler"], "steps": self.sampler.steps},
            "stitch": without_off(self.config["stitch"], self.sampler) | _resolved(self.sampler),
            "guidance": self.guidance.describe(),
            **self._departures(),
        }

    @property
    def propagation(self) -> Propagation | None:
        """Which steps share an encoding; None = none."""
        return Propagation.of(self.sampler)

    def shared_encoders(self) -> dict[str, SharedEncoder]:
        if self.propagation is None:
            return {}
        names, counts = list(self.denoisers), dict.fromkeys(self.denoisers, 0)
        for key, *_ in self.propagation.groups:
            for evaluated, count in self.evaluations_in_step(names[key.model]).items():
                counts[evaluated] += count
        parts = part_flops(self.pair)
        return {name: SharedEncoder(counts[name], *parts[name]) for name in names}

    def costs(self) -> dict[str, NetworkCost]:
        return network_costs(self.pair)

    def fetch(self) -> dict[str, Path | None]:
        """Local file of each denoiser's weights, downloaded if need be; None = random ones."""
        return {spec.name: locate_weights(spec) for spec in self.pair.denoisers}

    def weights(self) -> dict[str, Weights]:
        paths = self.fetch()
        return {
            spec.name: Weights(
                weights_digest(paths[spec.name]), locate_entry(self.pair, spec, paths[spec.name])
            )
            for spec in self.pair.denoisers
        }

    def identity(self, weights: Mapping[str, Weights], engine: Engine) -> Identity:
        with errors_of("pair.space."):
            self.pair.space.to(engine.device)  # its precision is one of the values
            space = {"shape": list(self.pair.space.shape), "digest": self.pair.space.digest()}
        with errors_of("pair.text_encoder."):
            conditions = self.pair.condition.identity()
        entries = newly_read({name: w.entry for name, w in weights.items()})
        networks = {s.name: identified(s.identity or s.network) for s in self.pair.denoisers}
        values = {
            "networks": networks,
            "weights": {name: w.sha256 for name, w in weights.items()},
            "space": space,
            "num_classes": self.pair.num_classes,
            **conditions,
            "sampler": identified(self.config["sampler"]),
            "stitch": identified(self.protocol()["stitch"]) if self.online else [*self.schedule],
            "timesteps": [step.t for step in self.sampler.plan],
            **propagation_identity(self.sampler),
            **self._departures(),
            "guidance": self.guidance.describe(),
            **self.run_identity(engine),
            **({"entries": entries} if entries else {}),
        }
        return Identity(values)

    def load(self, engine: Engine) -> LoadedPair:
        """The pair's networks and space."""
        return LoadedPair(self.pair, engine, self.fetch())

    def maker(self, loaded: LoadedPair) -> Pipeline:
        """The sampler over the loaded denoisers, each as it answers the sampler.

        Raises:
            UserError: other prompts than those loaded, of networks that cannot take them.
        """
        size = self.run.batch_size
        loaded = loaded.with_conditions(self.pair)
        denoisers = [
            PairedDenoiser(
                spec.name,
                loaded.denoiser(spec.name, self.guidance, size),
                _matching(self.sampler, spec),
                loaded.null_draw(spec.name, self.guidance),
                None if self.propagation is None else loaded.group(spec.name, self.guidance),
            )
            for spec in self.pair.denoisers
        ]
        return Pipeline(self, self.sampler, loaded, denoisers, self._autoguidance())

    def _autoguidance(self) -> Autoguidance | None:
        guide, names = self.guidance.guide, list(self.denoisers)
        if guide is None:
            return None
        scale, channels = self.guidance.scale, self.guidance.channels
        return Autoguidance(guide=names.index(guide), scale=scale, channels=channels)

    def _departures(self) -> dict[str, Any]:
        """Process and predictions that are not those of the published DiTs."""
        own = self.pair.process
        predictions = {
            s.name: {"process": _values(s.process), "prediction": s.prediction, "match": s.match}
            | s.rescaling()
            for s in self.pair.denoisers
            if (s.process, s.prediction, s.match) != (own, own.prediction, MATCHES[0])
            or s.rescaling()
        }
        process = {} if own == LinearVP() else {"process": _values(own)}
        return process | ({"predictions": predictions} if predictions else {})


def _parse_stitch(config: dict[str, Any]) -> StitchSchedule:
    stitch = instantiate(config["stitch"], "stitch")
    if not isinstance(stitch, StitchSchedule):
        raise not_a(config["stitch"], "stitch", "StitchSchedule")
    return stitch


def _parse_sampler(config: dict[str, Any], stitch: StitchSchedule, pair: PairSpec) -> Sampler:
    given: dict[str, Any] = {
        "process": pair.process, "stitch": stitch, "num_models": len(pair.denoisers)
    }  # fmt: skip
    section = config["sampler"]
    if isinstance(section, dict) and section.get("_target_") == PIPELINES:
        raise UserError(
            f"sampler._target_={PIPELINES}: pair {pair.name} is no pipeline of diffusers; choose "
            "sampler=ddim, or another of ours"
        )
    try:
        sampler = instantiate(section, "sampler", **given)
    except UserError as error:
        # Process and schedule meet the sampler's steps inside it: name the right section.
        field = str(error).removeprefix("sampler.")
        if isinstance(error.__cause__, Misfit):
            raise UserError(f"stitch.{field}") from error
        if field.split("=")[0] == "process":
            raise UserError(f"pair.{field}") from error
        raise
    if not isinstance(sampler, Sampler):
        raise not_a(config["sampler"], "sampler", "Sampler")
    for spec in pair.denoisers:
        if spec.one_pass and not isinstance(sampler, OnePass):
            raise UserError(
                f"sampler._target_={section['_target_']}: {spec.name} makes an image of pure noise "
                "in one pass; choose sampler=loopfree"
            )
        _matching(sampler, spec)
    check_propagation(sampler, pair)
    return sampler


def _schedule(sampler: Sampler) -> tuple[int, ...]:
    return tuple(step.model for step in sampler.plan)


def _online(sampler: Sampler) -> str | None:
    """`sketchrender` of a schedule that each image decides for itself."""
    online = isinstance(sampler.stitch, OnlineSchedule)
    return type(sampler.stitch).__name__.lower() if online else None


def _resolved(sampler: Sampler) -> dict[str, Any]:
    """The options of an online schedule for these steps: some follow their number."""
    if not isinstance(sampler.stitch, OnlineSchedule):
        return {}
    return vars(sampler.stitch.resolved(sampler.steps))


def _title(section: dict[str, Any], sampler: Sampler, guidance: GuidanceSettings) -> str:
    """`DDIM 20 steps, guidance 1.5`, or `..., autoguidance 1.5 by small`."""
    name = section["_target_"].rpartition(".")[2].replace("DPMSolver", "DPM-Solver")
    if section.get("algorithm") == "dpmpp":
        name += "++"
    by = f" by {guidance.guide}" if guidance.guide else ""
    steps = f"{sampler.steps} steps{in_words(sampler)}"
    return f"{name} {steps}, {'auto' if by else ''}guidance {guidance.scale:g}{by}"


def _values(process: Any) -> dict[str, Any]:
    return {"kind": type(process).__name__, **asdict(process)}


def _matching(sampler: Sampler, spec: DenoiserSpec) -> Matching:
    with errors_of(f"pair.denoisers.{spec.name}."):
        return Matching(
            sampler,
            *(spec.process, spec.prediction, spec.match, spec.latent_scale, spec.latent_shift),
        )
