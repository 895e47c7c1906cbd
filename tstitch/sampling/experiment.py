"""A checked configuration of one run: pair, sampler with its stitch schedule, guidance."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from samplers import MATCHES, LinearVP, Matching, Sampler, StitchSchedule
from tstitch.config import fields
from tstitch.config.cli import instantiate, not_a
from tstitch.config.settings import (
    GuidanceSection,
    GuidanceSettings,
    RunSettings,
)
from tstitch.engine.settings import EngineSettings
from tstitch.engine.worth import evaluations_per_process
from tstitch.pair.spec import DenoiserSpec, PairSpec, condition_identity, parse_pair
from tstitch.runtime.errors import UserError, errors_of
from tstitch.sampling.identity import fingerprint
from tstitch.scoring.settings import EvaluationSettings
from tstitch.tracking.tracker import TrackingSettings

SECTIONS = ("pair", "sampler", "stitch", "guidance", "run", "engine", "evaluation", "tracking")


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that a run needs to know before a model is loaded."""

    config: dict[str, Any]
    pair: PairSpec
    sampler: Sampler
    guidance: GuidanceSettings
    run: RunSettings
    engine: EngineSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings

    @property
    def steps_per_denoiser(self) -> dict[str, int]:
        """The realised schedule: how many steps each denoiser runs, small to large."""
        counts = Counter(step.model for step in self.sampler.plan)
        return {spec.name: counts[k] for k, spec in enumerate(self.pair.denoisers)}

    @property
    def nfe(self) -> int:
        """Network evaluations per image; guidance doubles them."""
        return sum(self.evaluations_per_image.values())

    @property
    def evaluations_per_image(self) -> dict[str, int]:
        """The same by denoiser."""
        steps = self.steps_per_denoiser
        return {name: steps[name] * self.guidance.evaluations(name) for name in steps}

    def matchings(self) -> dict[str, Matching]:
        """How each denoiser answers the sampler, by name."""
        return {spec.name: _matching(self.sampler, spec) for spec in self.pair.denoisers}

    def evaluations(self, processes: int) -> int:
        """Evaluations of a batch that the busiest of the processes makes for the whole run."""
        run, steps = self.run, len(self.sampler.plan)
        return evaluations_per_process(run.num_images, run.batch_size, steps, processes)

    def identity(
        self, weights: dict[str, str], dtype: str, engine: dict[str, Any]
    ) -> dict[str, Any]:
        """The values that decide the images.

        Args:
            weights: digest of each denoiser's weights by name.
            dtype: the precision that run.dtype comes to.
            engine: of tstitch.engine.settings.Engine.identity.
        """
        networks = {s.name: dict(s.identity or s.network) for s in self.pair.denoisers}
        return {
            "networks": networks,
            "weights": weights,
            "space": {"shape": list(self.pair.space.shape), "digest": self.pair.space.digest()},
            "num_classes": self.pair.num_classes,
            **condition_identity(self.pair),
            "sampler": dict(self.config["sampler"]),
            "stitch": [step.model for step in self.sampler.plan],
            "timesteps": [step.t for step in self.sampler.plan],
            **self._departures(),
            "guidance": self.guidance.describe(),
            "run": {
                "seed": self.run.seed,
                "classes": self.config["run"]["classes"],
                "dtype": dtype,
            },
            "engine": engine,
        }

    def _departures(self) -> dict[str, Any]:
        """Process and predictions that are not those of the published DiTs."""
        own = self.pair.process
        predictions = {
            s.name: {"process": _values(s.process), "prediction": s.prediction, "match": s.match}
            for s in self.pair.denoisers
            if (s.process, s.prediction, s.match) != (own, own.prediction, MATCHES[0])
        }
        process = {} if own == LinearVP() else {"process": _values(own)}
        return process | ({"predictions": predictions} if predictions else {})

    def directory(self, identity: dict[str, Any]) -> str:
        """run.dir, or a path under run.root that says what the run is and ends in its digest."""
        if self.run.dir is not None:
            return self.run.dir
        counts = "-".join(str(n) for n in self.steps_per_denoiser.values())
        kind = type(self.sampler).__name__.lower()
        name = f"{kind}{self.sampler.steps}-steps{counts}-cfg{self.guidance.scale:g}".replace(
            "+", ""
        )
        name += f"-seed{self.run.seed}-{fingerprint(identity)[:8]}"
        return f"{self.run.root}/{self.pair.name}/{name}"


def parse_experiment(config: dict[str, Any]) -> Experiment:
    """Checks a whole configuration; loads no weights.

    Raises:
        UserError: the first bad field.
    """
    fields.check_sections(config, SECTIONS)
    pair = parse_pair(config["pair"])
    sampler = _parse_sampler(config, _parse_stitch(config), pair)
    guidance = GuidanceSection.parse(config["guidance"]).over(pair.guidance)
    for spec in pair.denoisers:
        scale = guidance.scale_of(spec.name)
        if scale != 1 and not spec.has_null:
            remedy = "has no null condition to be guided from; set guidance.scale=1"
            raise UserError(f"guidance.scale={scale:g}: {spec.name} {remedy}")
    engine = EngineSettings.parse(config["engine"])
    return Experiment(
        config=config,
        pair=pair,
        sampler=sampler,
        guidance=guidance,
        run=RunSettings.parse(config["run"], context={"num_classes": pair.num_classes}),
        engine=engine.model_copy(update={"sixteen_bits": pair.sixteen_bits}),
        evaluation=EvaluationSettings.parse(config["evaluation"]),
        tracking=TrackingSettings.parse(config["tracking"]),
    )


def with_stitch(experiment: Experiment, section: dict[str, Any]) -> Experiment:
    """The same run under another stitch schedule.

    Raises:
        UserError: a schedule that does not fit.
    """
    config = experiment.config | {"stitch": section}
    sampler = _parse_sampler(config, _parse_stitch(config), experiment.pair)
    return replace(experiment, config=config, sampler=sampler)


def _parse_stitch(config: dict[str, Any]) -> StitchSchedule:
    stitch = instantiate(config["stitch"], "stitch")
    if not isinstance(stitch, StitchSchedule):
        raise not_a(config["stitch"], "stitch", "StitchSchedule")
    return stitch


def _parse_sampler(config: dict[str, Any], stitch: StitchSchedule, pair: PairSpec) -> Sampler:
    given: dict[str, Any] = {
        "process": pair.process, "stitch": stitch, "num_models": len(pair.denoisers)
    }  # fmt: skip
    try:
        sampler = instantiate(config["sampler"], "sampler", **given)
    except UserError as error:
        # Process and schedule meet the sampler's steps inside it: name the right section.
        field = str(error).removeprefix("sampler.")
        name = field.split("=")[0]
        if name in config["stitch"] and name not in config["sampler"]:
            raise UserError(f"stitch.{field}") from error
        if name == "process":
            raise UserError(f"pair.{field}") from error
        raise
    if not isinstance(sampler, Sampler):
        raise not_a(config["sampler"], "sampler", "Sampler")
    for spec in pair.denoisers:
        _matching(sampler, spec)
    return sampler


def _values(process: Any) -> dict[str, Any]:
    return {"kind": type(process).__name__, **asdict(process)}


def _matching(sampler: Sampler, spec: DenoiserSpec) -> Matching:
    with errors_of(f"pair.denoisers.{spec.name}"):
        return Matching(sampler, spec.process, spec.prediction, spec.match)
