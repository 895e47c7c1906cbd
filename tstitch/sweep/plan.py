"""Which runs a sweep is made of: every combination of sampler, steps, guidance and schedule."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from tstitch.config.groups import group_option
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.runtime.errors import UserError
from tstitch.scoring.settings import MIN_IMAGES
from tstitch.sweep.settings import SweepSettings

CARRIED = ("axis", "propagate", "injection")
Schedule = tuple[str, str, dict[str, Any], float | None, tuple[float, ...] | None]


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """One run of a sweep and its place in the tables."""

    protocol: str  # sampler, steps and guidance: runs that share it are compared
    series: str  # protocol and kind of schedule
    label: str
    fraction: float | None
    fractions: tuple[float, ...] | None
    experiment: Experiment


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked sweep."""

    settings: SweepSettings
    points: tuple[PlannedPoint, ...]


def plan_sweep(config: dict[str, Any]) -> Plan:
    """Checks a whole sweep before anything is loaded.

    Raises:
        UserError: the first bad field, of the sweep or of one of its runs.
    """
    base = {name: section for name, section in config.items() if name != "sweep"}
    # The schedule of `stitch` need not suit the pair where the sweep has its own.
    first = parse_experiment(base, stitched=False)
    settings = SweepSettings.parse(
        config.get("sweep"), context={"num_models": len(first.denoisers)}
    )
    if first.run.dir is not None:
        raise UserError(
            f"run.dir={first.run.dir}: every run of a sweep has a directory of its own; choose "
            "run.root, and sweep.dir for the report"
        )
    if first.run.num_images < MIN_IMAGES:
        raise UserError(
            f"run.num_images={first.run.num_images}: a sweep compares quality; choose at least "
            f"{MIN_IMAGES}"
        )
    if not first.evaluation.enabled:
        raise UserError(
            "evaluation.reference=null: a sweep compares quality; give the real images or their "
            "statistics"
        )
    points = []
    for sampler, scale in product(_samplers(settings, base), settings.guidance or (None,)):
        guidance = base["guidance"] | ({} if scale is None else {"scale": scale})
        for kind, label, stitch, fraction, fractions in _schedules(settings, base):
            own = copy.deepcopy(base) | {"sampler": sampler, "guidance": guidance, "stitch": stitch}
            experiment = parse_experiment(own)
            series = f"{experiment.title}, {kind}"
            points.append(
                PlannedPoint(experiment.title, series, label, fraction, fractions, experiment)
            )
    return Plan(settings, tuple(points))


def _samplers(settings: SweepSettings, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sections = [base["sampler"]]
    if settings.samplers:
        sections = [group_option("sampler", name) for name in settings.samplers]
        # Of another sampler only the number of steps has the same meaning.
        same = {"steps": base["sampler"].get("steps")}
        sections = [section | same for section in sections]
    for section, steps in product(sections, settings.steps or (None,)):
        yield section | ({} if steps is None else {"steps": steps})


def _schedules(settings: SweepSettings, base: dict[str, Any]) -> Iterator[Schedule]:
    """Kind, label, stitch section, fraction of the first denoiser, fractions of all."""
    for fractions in settings.simplex:
        section = carried(group_option("stitch", "fractions"), base) | {
            "fractions": list(fractions)
        }
        yield "fractions", "/".join(f"{f:g}" for f in fractions), section, fractions[0], fractions
    if settings.simplex:
        return
    if not settings.fractions:
        kind = base["stitch"]["_target_"].rpartition(".")[2].lower()
        yield kind, kind, base["stitch"], None, None
    for kind in settings.kinds:
        section = group_option("stitch", kind)
        section = carried(section, base)
        if "fraction" not in section:  # a single schedule, such as `decreasing`
            yield kind, kind, section, None, None
            continue
        for fraction in settings.fractions:
            yield kind, f"fraction {fraction:g}", section | {"fraction": fraction}, fraction, None


def carried(section: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """The section with the command line's options that all schedules have the same, if any."""
    return section | {k: base["stitch"][k] for k in CARRIED if k in section and k in base["stitch"]}
