"""What makes images, as runs, sweeps, reports and benchmarks know it.

An `Experiment` says, before anything is loaded, what will be made and of what it is made. It loads
its networks once per engine and gives an `ImageMaker` over them: indices and conditions in, images
and times out. tstitch.sampling is the first of them: a sampler over a pair of denoisers.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from torch import Tensor

from evaluation.cost.flops import NetworkCost
from evaluation.cost.timing import StageTimer
from tstitch.config.settings import RunSettings
from tstitch.engine.settings import Engine, EngineSettings
from tstitch.engine.worth import evaluations_per_process
from tstitch.maker.identity import Identity
from tstitch.scoring.settings import EvaluationSettings
from tstitch.tracking.tracker import TrackingSettings

SECTIONS = ("pair", "sampler", "stitch", "guidance", "run", "engine", "evaluation", "tracking")
# Kinds of schedules that need no name beside their steps.
UNNAMED = ("", "Fraction", "Fractions", "Explicit")
LOOP, DENOISE, DECODE = "loop", "denoise/", "decode"  # stages of a batch


@dataclass(frozen=True, slots=True)
class Weights:
    """What identifies the weights of one denoiser."""

    sha256: str
    entry: str | None = None  # of its file, which was read; None = all of it


@dataclass(frozen=True, slots=True)
class SharedEncoder:
    """Arithmetic of a denoiser whose steps share what its encoder saw."""

    evaluations: int  # of the encoder per image; the decoder's are the network's
    encoder_flops: int  # of one evaluation, two per multiply-add
    decoder_flops: int


class Images(Protocol):
    """Images of a batch, perhaps still on their way to the host."""

    def wait(self) -> np.ndarray:
        """uint8 (n, H, W, 3), once they are there.

        Raises:
            UserError: values that are infinite or not a number, which uint8 would hide.
        """


@runtime_checkable
class CountedImages(Images, Protocol):
    """Those whose denoisers' steps were decided while they were made."""

    @property
    def steps(self) -> np.ndarray | None:
        """Evaluations of the schedule that each denoiser ran of each image, int32 (n, denoisers);
        None = as the schedule says."""


class ImageMaker(Protocol):
    """Makes images on this process's device.

    Image i is a function of (seed, i), its label and the experiment: not of the batch that it is
    in, of the rank, or of what was made before.
    """

    @property
    def experiment(self) -> "Experiment":
        """What it makes."""

    @property
    def engine(self) -> Engine:
        """How it computes."""

    def prepare(self) -> dict[str, float]:
        """What is to be done once, before the first batch.

        Returns:
            Seconds by denoiser; empty where there is nothing to do, or no longer.
        """

    def draw(self, indices: Sequence[int], labels: Tensor, *, seed: int) -> Any:
        """What the images of a batch begin with; host work, perhaps beside another batch's.

        Args:
            indices: N of them, of the run's images.
            labels: (N,) int64, indices into the experiment's conditions.
        """

    def sample(self, batch: Any, timer: StageTimer) -> Images:
        """The images of what `draw` gave.

        Args:
            timer: gets the stages LOOP, within it DENOISE + name of each denoiser, and DECODE.
        """


@runtime_checkable
class SteppedMaker(ImageMaker, Protocol):
    """One whose denoisers can be looked at by themselves: for budgets and benchmarks."""

    def prepare(self, every: bool = False) -> dict[str, float]:
        """As ImageMaker's.

        Args:
            every: denoisers, also those that the schedule does not use.
        """

    def evaluate(self, model: int, batch: Any) -> None:
        """One step of a denoiser with a batch, for its time alone."""

    def denoise(self, batch: Any, timer: StageTimer) -> Tensor:
        """The latents (N, C, H, W) float32 of a batch, before they are images."""


class Trials(Protocol):
    """Some images under any number of schedules, all from the same noise."""

    @property
    def evaluated(self) -> int:
        """Steps of an image that were computed so far; beginnings in common are computed once."""

    def changes(self, schedules: Sequence[tuple[int, ...]]) -> Tensor:
        """How far each schedule moves the images from those of the last denoiser alone.

        Args:
            schedules: S of them, each a denoiser for every step.

        Returns:
            (S, N) float64 on the host: root mean square over an image's x_0.
        """


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Images on their way.

    Attributes:
        predictions: uint8 (E + 1, N, H, W, 3): what each image is predicted to be at each of E
            evaluations, noisiest first; at last the images.
        timesteps: of the evaluations, E.
        models: the denoiser of each evaluation, E; 0 = smallest.
    """

    predictions: np.ndarray
    timesteps: tuple[float, ...]
    models: tuple[int, ...]


@runtime_checkable
class TracedMaker(SteppedMaker, Protocol):
    """One whose trajectories can be looked into, by schedules that are measured, or to be shown."""

    @property
    def own_prediction(self) -> str:
        """What networks of its process are said to predict, as samplers.PREDICTIONS name it."""

    def disagreement(self, batch: Any, compare: str) -> Tensor:
        """How far the first denoiser's guided predictions are from the last one's, of the latter.

        Along the trajectories of the last one alone, at the same latents and timesteps.

        Args:
            compare: which prediction, one of samplers.PREDICTIONS.

        Returns:
            (steps, N) float64 on the host, of each step that the stitch schedule assigns: its
            evaluations' mean. N are the images that were drawn.

        Raises:
            UserError: a prediction that the denoisers do not tell somewhere.
        """

    def trajectory(self, batch: Any) -> Trajectory:
        """What the images are predicted to be along their trajectories, under its own plan.

        Raises:
            UserError: predictions that do not tell of the image somewhere.
        """

    def trials(self, batch: Any) -> Trials:
        """A batch that was drawn, to be sampled under other schedules than the experiment's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(ABC):
    """The checked configuration of one run."""

    config: dict[str, Any]
    run: RunSettings
    engine: EngineSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    name: str  # of the pair
    image_shape: tuple[int, int]  # height and width in pixels
    conditions: tuple[str, ...]  # what an image may be of, by label
    has_prompts: bool  # whether these are texts, which a run keeps beside its images
    denoisers: dict[str, int]  # its own network evaluations in one step of each, small to large
    schedule: tuple[int, ...]  # which of them (0 = smallest) runs each step: realised
    # A rule that decides each image's steps while it is made, in letters and digits. Then the
    # schedule, and all that is counted by it here, is the course with the most arithmetic.
    online: str | None = None
    title: str  # what runs that are compared have in common: `DDIM 20 steps, guidance 1.5`
    frames: int = 1  # of a video, which lie below each other in its image
    fps: int = 1  # of these, per second
    # By denoiser: the other one that is evaluated once besides in each of its steps.
    guides: dict[str, str] = field(default_factory=dict)

    @classmethod
    @abstractmethod
    def parse(cls, config: dict[str, Any], stitched: bool = True) -> Self:
        """Checks a whole configuration, of SECTIONS; loads no weights.

        Args:
            stitched: False = with the largest denoiser alone, whatever `stitch` says.

        Raises:
            UserError: the first bad field.
        """

    @abstractmethod
    def with_stitch(self, section: dict[str, Any]) -> Self:
        """The same run under another stitch schedule.

        Raises:
            UserError: a schedule that does not fit.
        """

    @abstractmethod
    def folder_name(self, schedule: str) -> str:
        """The title and a schedule in letters, digits and `_.-`, to name a directory."""

    @abstractmethod
    def protocol(self) -> dict[str, dict[str, Any]]:
        """Sections of metrics.json and reports; those that mean nothing are left out.

        Returns:
            sampler: `_target_`, steps and options; stitch: `_target_` and arguments; guidance:
            scale, and the number of channels that it is on if not all; with a denoiser's name under
            `guide` it is autoguidance.
        """

    @abstractmethod
    def costs(self) -> dict[str, NetworkCost]:
        """Size of each denoiser, without its weights."""

    def shared_encoders(self) -> dict[str, SharedEncoder]:
        """By denoiser, where steps share an encoding; empty where all run the whole network."""
        return {}

    @abstractmethod
    def fetch(self) -> Any:
        """Downloads what is not here.

        Raises:
            UserError: weights that are not there.
        """

    @abstractmethod
    def weights(self) -> dict[str, Weights]:
        """Of each denoiser; what does not fit is refused before it is loaded.

        Raises:
            UserError: weights that are not there or do not fit.
        """

    @abstractmethod
    def identity(self, weights: Mapping[str, Weights], engine: Engine) -> Identity:
        """What decides the images; under `engine` what Engine.identity says.

        Raises:
            UserError: files that are not there.
        """

    def run_identity(self, engine: Engine) -> dict[str, Any]:
        """What of `run` and the engine decides the images of any experiment."""
        run = {
            "seed": self.run.seed,
            "classes": self.config["run"]["classes"],
            "dtype": engine.precision,
        }
        return {"run": run, "engine": engine.identity()}

    @abstractmethod
    def load(self, engine: Engine) -> Any:
        """Everything with weights on this process's device, for all experiments that share it.

        Raises:
            UserError: weights that do not fit.
        """

    @abstractmethod
    def maker(self, loaded: Any) -> ImageMaker:
        """Makes this experiment's images with what `load` gave."""

    @property
    def step_evaluations(self) -> tuple[int, ...]:
        """Evaluations in each step that the stitch schedule assigns: two in most of Heun's."""
        return (1,) * len(self.schedule)

    @property
    def step_models(self) -> tuple[int, ...]:
        """Which denoiser runs each step that the stitch schedule assigns, as `schedule` has it."""
        starts = accumulate(self.step_evaluations[:-1], initial=0)
        return tuple(self.schedule[start] for start in starts)

    @property
    def steps_per_denoiser(self) -> dict[str, int]:
        """How many steps each denoiser runs, small to large; if `online` the costliest course."""
        counts = Counter(self.schedule)
        return {name: counts[k] for k, name in enumerate(self.denoisers)}

    def evaluations_in_step(self, denoiser: str) -> dict[str, int]:
        """Network evaluations of each denoiser in one step of one of them, its guide's included."""
        own, guide = {denoiser: self.denoisers[denoiser]}, self.guides.get(denoiser)
        return own if guide is None else own | {guide: 1}

    @property
    def evaluations_per_image(self) -> dict[str, int]:
        """Network evaluations per image of each denoiser, those as a guide included."""
        counts = dict.fromkeys(self.denoisers, 0)
        for name, steps in self.steps_per_denoiser.items():
            for evaluated, count in self.evaluations_in_step(name).items():
                counts[evaluated] += steps * count
        return counts

    @property
    def nfe(self) -> int:
        """Network evaluations per image."""
        return sum(self.evaluations_per_image.values())

    def evaluations(self, processes: int) -> int:
        """Evaluations of a batch that the busiest of the processes makes for the whole run."""
        run, steps = self.run, len(self.schedule)
        return evaluations_per_process(run.num_images, run.batch_size, steps, processes)

    def directory(self, identity: Identity, schedule: str | None = None) -> str:
        """run.dir, or a path under run.root that says what the run is and ends in its digest.

        Args:
            identity: of `identity`, or what stands for it.
            schedule: in words, None = the rule that is `online`, or the steps of each denoiser,
                after the kind of schedule where it is not that of the method.
        """
        if self.run.dir is not None:
            return self.run.dir
        steps = f"steps{'-'.join(map(str, self.steps_per_denoiser.values()))}"
        kind = str(self.config["stitch"].get("_target_", "")).rpartition(".")[2]
        told = [steps] if kind in UNNAMED else [f"{kind.lower()}-{steps}", steps]
        if schedule or self.online:
            told = [str(schedule or self.online)]
        end = f"seed{self.run.seed}-{identity.short}"
        paths = [f"{self.run.root}/{self.name}/{self.folder_name(words)}-{end}" for words in told]
        # A run from before kinds were named goes on where it is.
        return next((path for path in paths if Path(path).is_dir()), paths[0])
