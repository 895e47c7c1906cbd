"""Which runs a figure is made of; a mix of two models is a run of the pair that holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from tstitch.config.cli import compose, override
from tstitch.config.groups import group_option
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import Experiment
from tstitch.pair.spec import PairSpec, parse_pair
from tstitch.paper.figure.curves import ROLES, Curve, Shares
from tstitch.paper.figure.own_pair import of_own_pair
from tstitch.paper.figure.settings import Reproduction
from tstitch.runtime.errors import UserError
from tstitch.sampling.experiment import PairExperiment
from tstitch.sweep.plan import PlannedPoint, carried

NOT_SCORED = (
    "evaluation.reference=null: a figure compares quality; give evaluation.reference in overrides"
)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of a figure, to be measured."""

    curve: int  # its place among the figure's curves
    models: tuple[str, ...]  # of the curve
    sampler: str
    steps: int
    guidance: float
    kind: str
    shares: Shares  # of small, medium and large
    variant: str
    images: int
    expected: Mapping[str, float]
    error: float  # of reading the expected FID
    roles: tuple[str, ...]  # of the run's own denoisers
    planned: PlannedPoint

    @property
    def experiment(self) -> Experiment:
        """The checked run."""
        return self.planned.experiment

    @property
    def of_denoisers(self) -> PairExperiment:
        """The same, of a pair of denoisers: figures that look into trajectories have no other.

        Raises:
            UserError: its images are made by something else.
        """
        experiment = self.experiment
        if not isinstance(experiment, PairExperiment):
            raise UserError(
                f"paper.pair={experiment.name}: is a pipeline; give a pair of denoisers"
            )
        return experiment

    @property
    def fraction(self) -> float:
        """Share of all models but the curve's largest."""
        return round(1 - self.shares[ROLES.index(self.models[-1])], 9)

    @property
    def row(self) -> tuple[Any, ...]:
        """What the points that are compared with one another share."""
        return self.curve, self.sampler, self.steps, self.guidance, self.images


def plan_points(
    curves: tuple[Curve, ...],
    settings: Reproduction,
    *,
    trial: bool = False,
    whole: bool = False,
    scored: bool = True,
) -> tuple[CurvePoint, ...]:
    """The points of some curves, checked; nothing is loaded.

    Args:
        trial: for a dry run: weights that are still to be given are taken for random ones.
        whole: every run has the pair of all the curve's models, also those without a share.
        scored: metrics are wanted, not images alone.

    Raises:
        UserError: a value that a run refuses, or weights that are missing.
    """
    points = []
    for place, curve in enumerate(curves):
        own = settings
        if curve.pair is not None:
            own = of_own_pair(settings, curve.pair, {}, f"paper.curves.{place}.pair")
        for steps, guidance in product(curve.steps, curve.guidance):
            schedules = product(curve.variants.items(), curve.kinds, curve.shares)
            for number, ((variant, weights), kind, shares) in enumerate(schedules):
                roles = curve.models if whole else _members(shares, curve.models)
                given = _given(variant, weights, trial)
                base, config = _base(curve, own, (steps, guidance), roles, shares, given)
                experiment = base.with_stitch(carried(_stitch(kind, roles, shares), config))
                method = experiment.protocol()
                if scored and not experiment.evaluation.enabled:
                    raise UserError(NOT_SCORED)
                points.append(
                    CurvePoint(
                        place, curve.models, curve.sampler, method["sampler"]["steps"],
                        method["guidance"]["scale"], kind, shares, variant, curve.images,
                        curve.paper_values[number] if curve.paper_values else {},
                        curve.expected.error, roles,
                        _planned(curve, variant, kind, shares, experiment),
                    )
                )  # fmt: skip
    return tuple(points)


def _given(variant: str, weights: Mapping[str, str | None], trial: bool) -> dict[str, str]:
    if None in weights.values() and not trial:
        raise UserError(
            f"checkpoints.{variant}: missing; the authors' are not public: give your own, "
            f"checkpoints.{variant}=/path (or random)"
        )
    return {role: source or f"{variant}, {role}" for role, source in weights.items()}


def _base(
    curve: Curve,
    settings: Reproduction,
    protocol: tuple[int, float],
    roles: tuple[str, ...],
    shares: Shares,
    weights: dict[str, str],
) -> tuple[Experiment, dict[str, Any]]:
    """The run of the largest of some models, with the weights of a variant; its configuration."""
    steps, guidance = protocol
    used = {role for role, share in zip(ROLES, shares, strict=True) if share}
    sources = settings.weights | {role: w for role, w in weights.items() if role in used}
    names = denoiser_names(roles)
    overrides = [
        override("run.root", settings.root), f"run.num_images={curve.images}",
        f"sampler={curve.sampler}", f"sampler.steps={steps}", f"guidance.scale={guidance}",
        *settings.scale.overrides, *curve.overrides, *settings.overrides,
        *(override(f"pair.denoisers.{names[role]}.weights", sources[role])
          for role in ROLES if role in sources and role in names),
    ]  # fmt: skip
    return _all_large(settings.scale.pairs[roles], tuple(overrides))


def _planned(
    curve: Curve, variant: str, kind: str, shares: Shares, experiment: Experiment
) -> PlannedPoint:
    name = experiment.title
    fraction = None
    if kind == "fraction" and len(curve.models) == 2:
        fraction = shares[ROLES.index(curve.models[0])]
    series = f"{name}, {' + '.join(curve.models)}" + (f", {variant}" if variant else "")
    series += f", {curve.pair}" if curve.pair else ""
    mix = shares if len(curve.models) > 2 else None
    label = schedule_label(kind, curve.models, shares)
    return PlannedPoint(name, series, label, fraction, mix, experiment)


def _members(shares: Shares, models: tuple[str, ...]) -> tuple[str, ...]:
    """Models of the pair that runs a mix: those with a share, and another one if it is alone."""
    used = tuple(role for role, share in zip(ROLES, shares, strict=True) if share)
    if len(used) > 1:
        return used
    # One rule for every figure, so that they share the run.
    return ("small", "medium") if used == ("medium",) else ("small", "large")


def denoiser_names(roles: tuple[str, ...]) -> dict[str, str]:
    """Name of each model in the configuration of the pair of these models."""
    names = ROLES if len(roles) == 3 else ("small", "large")
    return dict(zip(roles, names, strict=True))


def schedule_label(kind: str, models: tuple[str, ...], shares: Shares) -> str:
    """`fraction 0.4`, `0.4/0.3/0.3`, `interleave`."""
    if kind != "fraction":
        return kind
    if len(models) == 3:
        return "/".join(f"{share:g}" for share in shares)
    return f"fraction {shares[ROLES.index(models[0])]:g}"


def _stitch(kind: str, roles: tuple[str, ...], shares: Shares) -> dict[str, Any]:
    own = [shares[ROLES.index(role)] for role in roles]
    if len(roles) == 3:
        return group_option("stitch", "fractions") | {"fractions": own}
    section = group_option("stitch", kind)
    return section | ({"fraction": own[0]} if "fraction" in section else {})


def configured_pair(name: str) -> PairSpec:
    """The pair of this name as configured."""
    return parse_pair(compose("sample", [f"pair={name}"])["pair"])


@cache
def _all_large(pair: str, overrides: tuple[str, ...]) -> tuple[Experiment, dict[str, Any]]:
    """The run of a pair's largest model, checked once, whatever the schedules; all of its
    configuration."""
    config = compose("sample", [f"pair={pair}", *overrides])
    return parse_experiment(config, stitched=False), config
