"""A checked configuration of one run: pair, sampler with its stitch schedule, guidance."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from samplers import Sampler, StitchSchedule
from tstitch.cli import instantiate
from tstitch.engine.settings import EngineSettings, parse_engine
from tstitch.engine.worth import evaluations_per_process
from tstitch.errors import UserError
from tstitch.fingerprint import fingerprint
from tstitch.pair import PairSpec, parse_pair
from tstitch.scoring.settings import EvaluationSettings, parse_evaluation
from tstitch.section import Section
from tstitch.settings import GuidanceSettings, RunSettings, parse_guidance, parse_run
from tstitch.tracking import TrackingSettings, parse_tracking

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
        return self.sampler.steps * (1 if self.guidance.scale == 1 else 2)

    def evaluations(self, processes: int) -> int:
        """Evaluations of a batch that the busiest of the processes makes for the whole run."""
        run, steps = self.run, len(self.sampler.plan)
        return evaluations_per_process(run.num_images, run.batch_size, steps, processes)

    def decides(
        self, weights: dict[str, str], dtype: str, engine: dict[str, Any]
    ) -> dict[str, Any]:
        """The values that decide the images.

        Args:
            weights: digest of each denoiser's weights by name.
            dtype: the precision that run.dtype comes to.
            engine: of tstitch.engine.settings.Engine.decides.
        """
        networks = {spec.name: dict(spec.network) for spec in self.pair.denoisers}
        return {
            "networks": networks,
            "weights": weights,
            "space": {"shape": list(self.pair.space.shape), "digest": self.pair.space.digest()},
            "num_classes": self.pair.num_classes,
            "sampler": dict(self.config["sampler"]),
            "stitch": [step.model for step in self.sampler.plan],
            "timesteps": [step.t for step in self.sampler.plan],
            "guidance": {"scale": self.guidance.scale, "channels": self.guidance.channels},
            "run": {
                "seed": self.run.seed,
                "classes": self.config["run"]["classes"],
                "dtype": dtype,
            },
            "engine": engine,
        }

    def directory(self, decides: dict[str, Any]) -> str:
        """run.dir, or a path under run.root that says what the run is and ends in its digest."""
        if self.run.dir is not None:
            return self.run.dir
        counts = "-".join(str(n) for n in self.steps_per_denoiser.values())
        kind = type(self.sampler).__name__.lower()
        name = f"{kind}{self.sampler.steps}-steps{counts}-cfg{self.guidance.scale:g}".replace(
            "+", ""
        )
        name += f"-seed{self.run.seed}-{fingerprint(decides)[:8]}"
        return f"{self.run.root}/{self.pair.name}/{name}"


def parse_experiment(config: dict[str, Any]) -> Experiment:
    """Checks a whole configuration; loads no weights.

    Raises:
        UserError: the first bad field.
    """
    Section(config, "", SECTIONS)
    pair = parse_pair(config["pair"])
    sampler = _parse_sampler(config, _parse_stitch(config), len(pair.denoisers))
    guidance = parse_guidance(config["guidance"])
    run = parse_run(config["run"], pair.num_classes)
    engine = parse_engine(config["engine"], pair.sixteen_bits)
    evaluation = parse_evaluation(config["evaluation"])
    tracking = parse_tracking(config["tracking"])
    return Experiment(config, pair, sampler, guidance, run, engine, evaluation, tracking)


def with_stitch(experiment: Experiment, section: dict[str, Any]) -> Experiment:
    """The same run under another stitch schedule.

    Raises:
        UserError: a schedule that does not fit.
    """
    config = experiment.config | {"stitch": section}
    sampler = _parse_sampler(config, _parse_stitch(config), len(experiment.pair.denoisers))
    return replace(experiment, config=config, sampler=sampler)


def _parse_stitch(config: dict[str, Any]) -> StitchSchedule:
    stitch = instantiate(config["stitch"], "stitch")
    if not isinstance(stitch, StitchSchedule):
        raise UserError(f"stitch._target_={config['stitch']['_target_']}: is no StitchSchedule")
    return stitch


def _parse_sampler(config: dict[str, Any], stitch: StitchSchedule, num_models: int) -> Sampler:
    try:
        sampler = instantiate(config["sampler"], "sampler", stitch=stitch, num_models=num_models)
    except UserError as error:
        # The schedule meets the sampler's steps inside the sampler: name the right section.
        field = str(error).removeprefix("sampler.")
        name = field.split("=")[0]
        if name in config["stitch"] and name not in config["sampler"]:
            raise UserError(f"stitch.{field}") from error
        raise
    if not isinstance(sampler, Sampler):
        raise UserError(f"sampler._target_={config['sampler']['_target_']}: is no Sampler")
    return sampler
