"""The checked section `paper`: one figure or table at one scale."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tstitch.errors import UserError
from tstitch.paper.curve_settings import ROLES, Curve, Shares, parse_curve, parse_shares
from tstitch.section import Section

HEAD = ("name", "kind", "title", "claims", "members")
PROBED = ("similarity", "spectrum", "footprint")
# What each kind of figure has at a scale, besides minutes, about and curves.
KINDS = {
    "curves": ("timing",),
    **dict.fromkeys(PROBED, ("probe",)),
    "tuning": ("mix", "training"),
    "predict": ("probe",),
    "ledger": (),
}
CURVED = ("curves", "tuning", "predict")
NAME = re.compile(r"[\w-]+")
METHODS = ("similarity", "change")  # of predicting the safe fraction


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """A trajectory that is looked into."""

    sampler: str
    steps: int
    guidance: float
    images: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """How the safe fraction is predicted; described in configs/paper/predict.yaml."""

    images: int
    rise: float
    check: bool
    thresholds: dict[str, float]  # by method


@dataclass(frozen=True, slots=True)
class Timing:
    """An interleaved measurement of time against fraction."""

    batch_size: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Tuning:
    """Trainings of models on their own timesteps."""

    mix: Shares
    training: tuple[str, ...]  # overrides of scripts/train.py


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure or table of the paper at one scale."""

    name: str
    kind: str
    title: str
    claims: tuple[str, ...]
    members: tuple[str, ...]  # of the ledger
    minutes: float | None  # on 2 cores; None = not stated
    about: str  # what the scale changes
    curves: tuple[Curve, ...]
    probe: ProbeSettings | None
    prediction: Prediction | None
    timing: Timing | None
    tuning: Tuning | None
    published: tuple[Curve, ...]  # the paper's protocol with its values

    @property
    def unscored(self) -> bool:
        """Images alone are wanted, no metrics."""
        return self.prediction is not None and not self.prediction.check

    @property
    def looks_at(self) -> str:
        """The probe in words; empty without one."""
        if self.prediction is not None:
            return f"images {self.prediction.images}, rise {self.prediction.rise:g}"
        return ", ".join(f"{k} {v}" for k, v in asdict(self.probe).items()) if self.probe else ""


def parse_figure(
    config: Any, scale: str, default: int, images: int | None, checkpoints: Mapping[str, str]
) -> Figure:
    """Checks the section `paper`.

    Args:
        scale: the part of it that counts.
        default: number of images of a curve that states none.
        images: what replaces every curve's own number.
        checkpoints: weights by label of a variant.

    Raises:
        UserError: a bad field.
    """
    if not isinstance(config, Mapping) or scale not in config:
        raise UserError(f"scale={scale}: the figure has no section of that name; add one")
    scales = [name for name, value in config.items() if isinstance(value, Mapping)]
    names = tuple(dict.fromkeys((*HEAD, scale, "full", *scales)))
    head = Section(config, "paper", names, {"claims": [], "members": [], "full": None})
    kind, path = head.choice("kind", tuple(KINDS)), f"paper.{scale}"
    own = _own_section(config[scale], path, kind)
    if not NAME.fullmatch(head.text("name")):
        raise head.refuse("name", "use only letters, digits, _ and -")
    probe = prediction = timing = None
    if kind in PROBED:
        # Table 8 is about one batch of the stated size.
        probe = _probe(own, path, None if kind == "footprint" else images)
    elif kind == "predict":
        prediction = _prediction(own, path, images)
    elif kind == "curves" and own.raw("timing") is not None:
        fields = Section(own.raw("timing"), f"{path}.timing", ("batch_size", "rounds"))
        timing = Timing(fields.integer("batch_size", 1), fields.integer("rounds", 1))
    curves = _curves(own, path, kind, default, images, checkpoints)
    if timing is not None and (len(curves[0].models) > 2 or "fraction" not in curves[0].kinds):
        raise own.refuse("timing", "needs a first curve of two models and kind fraction")
    if prediction is not None:
        _check_predicted(own, curves, prediction)
    figure = Figure(
        name=head.text("name"),
        kind=kind,
        title=head.text("title"),
        claims=head.texts("claims"),
        members=_members(head, kind),
        minutes=None if own.raw("minutes") is None else own.number("minutes", 0),
        about=own.text("about"),
        curves=curves,
        probe=probe,
        prediction=prediction,
        timing=timing,
        tuning=_tuning(own, curves) if kind == "tuning" else None,
        published=_published(head.raw("full"), default) if kind == "curves" else (),
    )
    return _estimate_alone(figure) if figure.unscored else figure


def _estimate_alone(figure: Figure) -> Figure:
    """A prediction that is not checked: its few images, at every fraction of its curves."""
    count = figure.prediction.images
    curves = tuple(replace(curve, images=count) for curve in figure.curves)
    about = f"estimates from {count} images, not checked against curves"
    return replace(figure, curves=curves, about=about, minutes=None)


def _members(head: Section, kind: str) -> tuple[str, ...]:
    members = head.texts("members")
    if kind != "ledger" and members:
        raise head.refuse("members", "are for the ledger; leave them out")
    if "ledger" in members:
        raise head.refuse("members", "leave out ledger itself")
    return head.distinct("members", members) if kind == "ledger" else members


def _check_predicted(own: Section, curves: tuple[Curve, ...], wanted: Prediction) -> None:
    """Every curve of a prediction must be one row of two models, from all large to all small."""
    for curve in curves:
        single = (curve.steps, curve.guidance, curve.kinds, curve.variants)
        large = {shares[ROLES.index(curve.models[-1])] for shares in curve.shares}
        if len(curve.models) > 2 or any(len(values) > 1 for values in single):
            raise own.refuse("curves", "give each two models, one steps, guidance, kind, variant")
        if curve.kinds != ("fraction",) or not {0.0, 1.0} <= large:
            raise own.refuse("curves", "give each kind fraction, and fractions 0 and 1 among them")
        if wanted.check and curve.images < wanted.images:
            raise own.refuse("probe", f"choose at most the {curve.images} images of its curves")


def _own_section(config: Any, path: str, kind: str) -> Section:
    fields = ("minutes", "about", "curves", *KINDS[kind])
    defaults = {"minutes": None, "curves": []} | ({"timing": None} if kind == "curves" else {})
    return Section(config, path, fields, defaults)


def _curves(
    own: Section,
    path: str,
    kind: str,
    default: int,
    images: int | None,
    checkpoints: Mapping[str, str],
) -> tuple[Curve, ...]:
    given = own.raw("curves")
    if not isinstance(given, list) or (kind in CURVED and not given):
        raise own.refuse("curves", "give a list of curves")
    return tuple(
        parse_curve(curve, f"{path}.curves.{i}", default, images, checkpoints)
        for i, curve in enumerate(given)
    )


def _published(full: Any, default: int) -> tuple[Curve, ...]:
    """The curves at full scale, checked at any scale, that have values of the paper."""
    if full is None:
        return ()
    own = _own_section(full, "paper.full", "curves")
    found = _curves(own, "paper.full", "curves", default, None, {})
    return tuple(curve for curve in found if curve.expected.values)


def _probe(own: Section, path: str, images: int | None) -> ProbeSettings:
    fields = Section(own.raw("probe"), f"{path}.probe", ("sampler", "steps", "guidance", "images"))
    return ProbeSettings(
        sampler=fields.text("sampler"),
        steps=fields.integer("steps", 2),
        guidance=fields.number("guidance", 0),
        images=fields.integer("images", 2) if images is None else images,
    )


def _prediction(own: Section, path: str, images: int | None) -> Prediction:
    fields = Section(own.raw("probe"), f"{path}.probe", ("images", "rise", "check", "thresholds"))
    limits = Section(fields.raw("thresholds"), f"{path}.probe.thresholds", METHODS)
    return Prediction(
        images=fields.integer("images", 2) if images is None else images,
        rise=fields.number("rise", 0, 10),
        check=fields.flag("check"),
        thresholds={name: limits.number(name, 0) for name in METHODS},
    )


def _tuning(own: Section, curves: tuple[Curve, ...]) -> Tuning:
    mix = parse_shares(own, "mix", own.raw("mix"), ROLES)
    if len(curves) > 1:
        raise own.refuse("curves", "give one; its variants name the models to train")
    for weights in curves[0].variants.values():
        for role in weights:
            if not mix[ROLES.index(role)]:
                raise own.refuse("mix", f"give {role}, which is trained, a share")
    return Tuning(mix, own.words("training", "train.steps=1000"))
