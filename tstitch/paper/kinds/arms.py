"""Runs of any pairs side by side, some by students that the command trains (TiUE)."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, ValidationInfo, model_validator

from evaluation.report.panels import Panel
from tstitch.config import fields
from tstitch.config.cli import compose, override
from tstitch.distil.settings import DistilSettings
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.pair.network_cost import part_flops
from tstitch.paper.figure.base import Figure, FigureData
from tstitch.paper.figure.kept import measure_once, measurement_key
from tstitch.paper.figure.measure import ModelCache, Result
from tstitch.paper.figure.paired import compare_images, images_key, paired_of
from tstitch.paper.figure.plan import NOT_SCORED, CurvePoint
from tstitch.paper.figure.settings import Reproduction
from tstitch.paper.kinds.arms_features import FeatureCourse, can_be_watched, look_at_features
from tstitch.paper.kinds.arms_report import arm_panels, arm_tables
from tstitch.paper.kinds.arms_rows import Measurement
from tstitch.paper.kinds.arms_settings import ArmSettings, ArmTiming, FeatureSettings
from tstitch.paper.kinds.arms_students import (
    Training,
    read_training,
    stand_in,
    trained,
    training_words,
)
from tstitch.paper.kinds.arms_timing import ArmTimes, time_arms
from tstitch.paper.kinds.arms_verdicts import ARM_TESTS
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError, errors_of
from tstitch.sampling.experiment import PairExperiment
from tstitch.sweep.plan import PlannedPoint

STUDENTS = "students"  # folder below root/paper, which figures share
WHOLE = (0.0, 0.0, 1.0)
Sources = dict[tuple[str, int], str]  # folders of students by arm and seed


def _images(value: Any, info: ValidationInfo) -> int:
    """The section's own number, or what replaces it."""
    return fields.context(info)["images"] or fields.whole(4)(value)


class ArmsFigure(Figure):
    """One run of every arm, or one of each of its students; all with the same noise and prompts.

    The first arm is what diversity and closeness are measured against.
    """

    computed: ClassVar = (*Figure.computed, "sources")
    kind: ClassVar = "arms"
    claim_tests: ClassVar = ARM_TESTS
    panel_columns: ClassVar = 2
    resolves: ClassVar = False

    images: Annotated[int, BeforeValidator(_images)]
    conditions: fields.Count | None = None  # of the pair's, evenly spread; null = all of them
    common: Annotated[tuple[str, ...], fields.words("run.dtype=bf16")] = ()  # of all runs
    training: Annotated[tuple[str, ...], fields.words("distil.steps=1000")] = ()  # of students
    arms: tuple[ArmSettings, ...]
    timing: ArmTiming | None = None
    features: FeatureSettings | None = None
    sources: Sources = {}  # of the students that are trained

    @model_validator(mode="after")
    def _check_arms(self) -> Self:
        names = [arm.arm for arm in self.arms]
        if not names or len(set(names)) < len(names):
            raise fields.refusal("arms", "give at least one, each with a name of its own")
        if self.arms[0].student is not None:
            raise fields.refusal("arms", "begin with one that is not trained, for comparisons")
        if self.features is not None and self.features.arm not in names:
            raise fields.refusal("features.arm", f"choose one of {', '.join(names)}")
        return self

    @property
    def measurement(self) -> dict[str, Any]:
        parts = {"timing": self.timing, "features": self.features}
        known = {name: part.model_dump() for name, part in parts.items() if part is not None}
        return known | {"arms": [[arm.arm, *arm.seeds] for arm in self.arms]}

    @property
    def images_looked_at(self) -> int:
        return self.images

    def plan(self, settings: Reproduction, *, trial: bool = False) -> tuple[CurvePoint, ...]:
        """Every arm and seed in turn; students to come have the teacher's network."""
        points: list[CurvePoint] = []
        for place, arm in enumerate(self.arms):
            for seed in arm.seeds:
                experiment = self._experiment(settings, place, seed)
                if not experiment.evaluation.enabled:
                    raise UserError(NOT_SCORED)
                points.append(self._point(arm, seed, experiment, is_base=not points))
        if self.features is not None:
            self._watched(settings, self.features.arm)
        return tuple(points)

    def _point(
        self, arm: ArmSettings, seed: int, experiment: Experiment, is_base: bool
    ) -> CurvePoint:
        label = arm.arm if arm.student is None else f"{arm.arm}, seed {seed}"
        planned = PlannedPoint(self.name, self.title, label, None, None, experiment)
        return CurvePoint(
            curve=0, models=("small", "large"), sampler="", steps=0, guidance=0.0,
            # What differences are to is told by its kind.
            kind="fraction" if is_base else label,
            shares=WHOLE, variant="", images=self.images, expected={}, error=0.0, roles=(),
            planned=planned,
        )  # fmt: skip

    def _experiment(
        self, settings: Reproduction, place: int, seed: int, *more: str, scored: bool = True
    ) -> Experiment:
        """The run of an arm; the command's overrides come last, but for `more`."""
        arm, field = self.arms[place], f"paper.{settings.scale.name}.arms.{place}"
        words = [
            override("run.root", settings.root), f"run.num_images={self.images}", *self.common,
            *arm.run,
        ]  # fmt: skip
        if arm.student is not None:
            with errors_of(f"{field}.student: ", UserError):
                words += self._student(settings, arm, seed)
        words += [*settings.overrides, *more, *([] if scored else ["evaluation=none"])]
        with errors_of(f"{field}: ", UserError):
            config = compose("sample", words)
            experiment = parse_experiment(config)
            if self.conditions is None or not scored:
                return experiment
            return parse_experiment(self._spread(config, experiment))

    def _spread(self, config: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
        """With some of the conditions only, so that images share them."""
        assert self.conditions is not None
        known = len(experiment.conditions)
        if self.conditions > known:
            raise UserError(f"conditions={self.conditions}: there are {known}; choose fewer")
        chosen = np.linspace(0, known - 1, self.conditions).round().astype(int).tolist()
        return config | {"run": config["run"] | {"classes": chosen}}

    def _student(self, settings: Reproduction, arm: ArmSettings, seed: int) -> list[str]:
        source = self.sources.get((arm.arm, seed))
        if source is not None:
            return [override(f"pair.denoisers.{arm.denoiser}.network.source", source)]
        return stand_in(self._words(settings, arm, seed), arm.denoiser)

    def _words(self, settings: Reproduction, arm: ArmSettings, seed: int) -> list[str]:
        common = (*self.training, *settings.training)
        return training_words(common, arm.student or (), seed)

    def cost_lines(self, settings: Reproduction) -> list[str]:
        students = [arm for arm in self.arms if arm.student is not None]
        lines = [f"  arms: {', '.join(arm.arm for arm in self.arms)}; {self.images:,} images each"]
        if students:
            count = sum(len(arm.seeds) for arm in students)
            words = " ".join([*self.training, *settings.training])
            flops = sum(self._training_flops(settings, arm) * len(arm.seeds) for arm in students)
            lines += [
                f"  {count} students are trained first: {words}",
                f"  {flops / 1e15:,.2f} PFLOPs of training (a backward pass as two forward ones); "
                "below, images of students with one plan are counted once",
            ]
        return lines

    def _training_flops(self, settings: Reproduction, arm: ArmSettings) -> float:
        """FLOPs of one training: the student, two guided scores, and the fake score's own steps."""
        words = self._words(settings, arm, arm.seeds[0])
        training = DistilSettings.parse(compose("distil", words)["distil"])
        student = self._experiment(settings, self.arms.index(arm), arm.seeds[0], scored=False)
        sizes = student.costs()
        whole = sum(student.evaluations_per_image[n] * size.flops for n, size in sizes.items())
        teacher = max(size.flops for size in self._teacher(settings).costs().values())
        scores = 2 if training.guidance == 1 else 4
        each = 3.0 * whole + (scores + 3.0 * training.fake.per_step) * teacher
        return each * training.steps * training.batch_size

    def _teacher(self, settings: Reproduction) -> Experiment:
        return self._experiment(settings, 0, self.arms[0].seeds[0], scored=False)

    def prepared(self, settings: Reproduction, cache: ModelCache) -> Self:
        """The figure with its students; what is missing is trained, below root/paper/students."""
        sources: Sources = {}
        root = Path(settings.root) / "paper" / STUDENTS
        for arm in self.arms:
            for seed in arm.seeds if arm.student is not None else ():
                cache.release()
                words = self._words(settings, arm, seed)
                sources[arm.arm, seed] = str(trained(root, f"{arm.arm}-{seed}", words).resolve())
        return self.model_copy(update={"sources": sources})

    def measure(
        self, settings: Reproduction, cache: ModelCache, results: list[Result]
    ) -> Measurement:
        """Images beside the first arm's, times in turn, and features along a trajectory."""
        points = self.plan(settings)
        base = points[0].experiment
        folders = distributed.on_main(lambda: [result.run.folder for result in results])
        key = measurement_key(base, self, cache.of(base))
        key |= distributed.on_main(lambda: images_key(results))

        def compare() -> dict[str, Any]:
            paired = compare_images(points, folders, cache)
            cache.release()
            trainings = distributed.on_main(self._trainings)
            return {"paired": paired, "trainings": trainings, "parts": _parts(points[0])}

        # One after the other, so that each stays whatever becomes of the next.
        found = measure_once(self, settings, key, compare)
        course = measure_once(self, settings, key, lambda: self._course(settings), "features.json")
        times = measure_once(self, settings, key, lambda: self._times(settings), "times.json")
        trainings, parts = found["trainings"].items(), found["parts"].items()
        return Measurement(
            paired_of(found["paired"]),
            {arm: [Training(**row) for row in rows] for arm, rows in trainings},
            {name: (encoder, decoder) for name, (encoder, decoder) in parts},
            ArmTimes(**times) if times else None,
            FeatureCourse(**course) if course else None,
        )

    def _trainings(self) -> dict[str, list[dict[str, Any]]]:
        return {
            arm.arm: [asdict(read_training(Path(self.sources[arm.arm, s]))) for s in arm.seeds]
            for arm in self.arms
            if arm.student is not None
        }

    def _times(self, settings: Reproduction) -> dict[str, Any]:
        """Empty where they are not wanted."""
        timing = self.timing
        if timing is None:
            return {}
        experiments = {}
        for place, arm in enumerate(self.arms):
            alone, whole = (
                self._experiment(
                    settings, place, arm.seeds[0], f"run.batch_size={size}", scored=False
                )
                for size in (1, timing.batch_size)
            )
            experiments[arm.arm] = alone, whole
        return asdict(time_arms(experiments, timing))

    def _course(self, settings: Reproduction) -> dict[str, Any]:
        """Empty where it is not wanted."""
        wanted = self.features
        if wanted is None:
            return {}
        return asdict(look_at_features(self._watched(settings, wanted.arm), wanted.images))

    def _watched(self, settings: Reproduction, name: str) -> PairExperiment:
        """The run of an arm whose features are looked at.

        Raises:
            UserError: it is no run of whole evaluations of one U-Net.
        """
        place = [arm.arm for arm in self.arms].index(name)
        experiment = self._experiment(settings, place, 0, "engine=plain", scored=False)
        if (
            self.arms[place].student is not None
            or not isinstance(experiment, PairExperiment)
            or not can_be_watched(experiment)
        ):
            raise UserError(
                f"paper.{settings.scale.name}.features.arm={name}: is no run of one U-Net in two "
                "or more whole steps; choose another arm"
            )
        return experiment

    def panels(self, data: FigureData) -> list[Panel]:
        return arm_panels(data) if self.picture else []

    def tables(self, data: FigureData) -> list[str]:
        return arm_tables(data)


def _parts(point: CurvePoint) -> dict[str, tuple[int, int]]:
    """FLOPs of encoder and decoder by denoiser of a run; empty unless all have both."""
    experiment = point.experiment
    if not isinstance(experiment, PairExperiment):
        return {}
    whole = not all(spec.splits for spec in experiment.pair.denoisers)
    return {} if whole else part_flops(experiment.pair)
