"""The `sampler` section of pairs of pipelines: diffusers' own schedulers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers

from tstitch.pipelines.grid import Grid
from tstitch.runtime.errors import UserError

MAX_STEPS = 1000
# Their noise is drawn by the batch, not by the image.
BATCH_NOISE = ("DPMSolverSDEScheduler", "CosineDPMSolverMultistepScheduler")
SHIFT = 1.0  # stands for a shift by the image's size: it moves timesteps, not their number


@dataclass(frozen=True, slots=True)
class PipelineScheduler:
    """Which scheduler of diffusers runs a pipeline, for how many steps.

    Args:
        scheduler: class of diffusers, e.g. PNDMScheduler; None = the pair's, or the pipeline's own.
        options: over the pipeline's own configuration, e.g. {use_karras_sigmas: true}.
        steps: num_inference_steps, from 1; None = the pair's.

    Raises:
        ValueError: no such class, or no such number of steps.
    """

    scheduler: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None

    def __post_init__(self) -> None:
        known = self.scheduler in (None, *BATCH_NOISE) or _is_scheduler(self.scheduler)
        if not known:
            raise ValueError(
                f"scheduler={self.scheduler}: diffusers has no such class; e.g. PNDMScheduler"
            )
        if not isinstance(self.options, Mapping):
            raise ValueError(
                f"options={self.options}: give a mapping, e.g. {{timestep_spacing: leading}}"
            )
        if self.steps is not None and not (
            type(self.steps) is int and 1 <= self.steps <= MAX_STEPS
        ):
            raise ValueError(f"steps={self.steps}: choose a whole number from 1 to {MAX_STEPS}")

    def over(self, pair: "PipelineScheduler") -> "PipelineScheduler":
        """With what the pair has in place of nothing; its options are for its own class."""
        own = self.scheduler is None
        options = {**(pair.options if own else {}), **self.options}
        return PipelineScheduler(
            self.scheduler or pair.scheduler, options, self.steps or pair.steps
        )

    def build(self, config: Mapping[str, Any], path: str) -> Any:
        """The scheduler.

        Args:
            config: the pipeline's scheduler_config.json.
            path: of the section, for messages.

        Raises:
            UserError: a class or options that cannot be built.
        """
        name = str(self.scheduler or config.get("_class_name"))
        if name in BATCH_NOISE:
            raise UserError(
                f"{path}.scheduler={name}: its noise belongs to no image; choose another, e.g. "
                "EulerAncestralDiscreteScheduler"
            )
        if not _is_scheduler(name):
            raise UserError(f"{path}.scheduler={name}: diffusers {diffusers.__version__} has none")
        kind = getattr(diffusers, name)
        unknown = self.options.keys() - set(kind._get_init_keys(kind))
        if unknown:
            raise UserError(f"{path}.options.{min(unknown)}: {name} does not know it; leave it out")
        try:
            return kind.from_config(dict(config), **self.options)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}.scheduler={name}: cannot be built ({reason})") from error


def _is_scheduler(name: Any) -> bool:
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    return isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)


def planned_grid(scheduler: Any, steps: int, path: str) -> Grid:
    """The steps that a pipeline will run; leaves the scheduler set to them.

    Raises:
        UserError: a number of steps that the scheduler refuses.
    """
    shifted = getattr(scheduler.config, "use_dynamic_shifting", False)
    try:
        scheduler.set_timesteps(steps, **({"mu": SHIFT} if shifted else {}))
    except Exception as error:
        reason = " ".join(str(error).split())
        name = type(scheduler).__name__
        raise UserError(f"{path}.steps={steps}: {name} refuses it ({reason})") from error
    return Grid.read(scheduler)
