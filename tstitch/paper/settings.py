"""The checked configuration of scripts/reproduce.py: a figure, a scale, and what overrides them."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from tstitch.errors import UserError
from tstitch.section import Section
from tstitch.settings import DIR_PATTERN

ROLES = ("small", "medium", "large")
KINDS = ("curves", "similarity", "spectrum", "footprint", "tuning", "predict", "ledger")
METHODS = ("similarity", "change")  # of predicting the safe fraction
PROBE = ("sampler", "steps", "guidance", "images")
PROBE_FIELDS = {
    "similarity": PROBE,
    "spectrum": PROBE,
    "footprint": PROBE,
    "predict": ("images", "rise", "check", "thresholds"),
}
# Of a run's overrides.
RESERVED = ("pair", "run.dir", "run.root", "run.num_images", "run.overwrite")
SCHEDULES = ("fraction", "interleave", "decreasing", "large_to_small")
FIELDS = (
    "paper", "scale", "root", "report", "dry_run", "throughput", "images", "overrides", "weights",
    "checkpoints", "training",
)  # fmt: skip
CURVE: dict[str, Any] = {
    "models": None, "sampler": None, "steps": None, "guidance": [1.5], "fractions": [],
    "kinds": ["fraction"], "simplex": None, "mixes": [], "images": None, "variants": {"": {}},
    "expected": None,
}  # fmt: skip
Shares = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Which pairs stand for the paper's models; described in configs/scale/."""

    name: str
    pairs: dict[tuple[str, ...], str]  # name of the pair, by the models it holds
    images: int
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Runs that differ in their schedule, for each number of steps, guidance and variant."""

    models: tuple[str, ...]
    sampler: str
    steps: tuple[int, ...]
    guidance: tuple[float, ...]
    kinds: tuple[str, ...]
    shares: tuple[Shares, ...]  # of small, medium and large, one per schedule
    images: int
    variants: dict[str, dict[str, str | None]]  # other weights by model, None = still to be given
    expected: tuple[dict[str, float], ...]  # the paper's values per schedule, or empty
    error: float  # of reading its FID
    source: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure or table of the paper at one scale."""

    name: str
    kind: str
    title: str
    claims: tuple[str, ...]
    minutes: float | None  # on 2 cores; None = not stated
    about: str  # what the scale changes
    curves: tuple[Curve, ...]
    own: dict[str, Any]  # of its kind alone: timing, probe, mix, training
    published: tuple[Curve, ...]  # the paper's protocol with its values


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Everything that scripts/reproduce.py is told."""

    figure: Figure
    members: tuple[str, ...]  # of the ledger
    scale: Scale
    root: str
    report: str
    dry_run: bool
    throughput: float | None  # FLOP/s
    images: int | None  # in place of the figures' own
    overrides: tuple[str, ...]
    weights: dict[str, str]
    training: tuple[str, ...]
    unscored: bool = False  # images alone are wanted, no metrics


def parse_reproduction(config: dict[str, Any]) -> Reproduction:
    """Checks the configuration of scripts/reproduce.py; loads nothing.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "", FIELDS)
    scale = _parse_scale(section.raw("scale"))
    images = None if section.raw("images") is None else section.integer("images", 4)
    checkpoints = section.raw("checkpoints")
    if not isinstance(checkpoints, Mapping):
        raise section.refuse("checkpoints", "give a path for each, e.g. checkpoints.at400K=/path")
    try:
        figure, members = _parse_figure(section.raw("paper"), scale, images, checkpoints)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        line = " ".join(str(error).split())
        raise UserError(
            f"paper.{scale.name}: a field is missing or of a wrong kind "
            f"({type(error).__name__}: {line}); compare it with configs/paper/"
        ) from error
    root, report = section.text("root"), section.raw("report")
    report = (
        f"{root}/paper/{figure.name}-{scale.name}" if report is None else section.text("report")
    )
    for name, value in (("root", root), ("report", report)):
        if not DIR_PATTERN.fullmatch(value):
            raise UserError(f"{name}={value}: use only letters, digits and _ . / -")
    if not Path(report).name:
        raise UserError(f"report={report}: name a folder; the report is FOLDER.md")
    weights = Section(section.raw("weights"), "weights", ROLES)
    return Reproduction(
        figure=figure,
        members=members,
        scale=scale,
        root=root,
        report=report,
        dry_run=section.flag("dry_run"),
        images=images,
        throughput=_throughput(section),
        overrides=_free(_texts(section, "overrides")),
        weights={r: weights.text(r) for r in ROLES if weights.raw(r) is not None},
        training=_texts(section, "training"),
    )


def _throughput(section: Section) -> float | None:
    """FLOP/s: a number of TFLOP/s, or what a benchmark of scripts/benchmark.py measured."""
    value = section.raw("throughput")
    if value is None:
        return None
    if not isinstance(value, str):
        return section.number("throughput", 1e-6) * 1e12
    try:
        return benchmark_throughput(json.loads(Path(value).read_text()))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise section.refuse("throughput", "give TFLOP/s, or a benchmark.json") from error


def benchmark_throughput(document: dict[str, Any]) -> float:
    """FLOP/s of the largest denoiser alone in the fastest case of a benchmark.

    Args:
        document: benchmark.json.
    """
    protocol = document["protocol"]
    per_step = 1 if protocol["guidance"]["scale"] == 1 else 2
    evaluations = protocol["sampler"]["steps"] * per_step
    flops = evaluations * max(protocol["gmacs_per_evaluation"].values()) * 2e9
    rates = [
        next(f for f in case["fractions"] if f["fraction"] == 0)["images_per_second"]["median"]
        for case in document["cases"]
    ]
    return max(rates) * flops


def _free(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides, none of which may be what a figure decides."""
    for word in overrides:
        name = word.partition("=")[0].lstrip("+~")
        if name in RESERVED or name.startswith("stitch"):
            raise UserError(f"overrides: {word} is for the figure to decide; leave it out")
    return overrides


def _parse_scale(config: Any) -> Scale:
    section = Section(config, "scale", ("name", "pairs", "images", "overrides"))
    try:
        pairs = {tuple(entry["models"]): str(entry["pair"]) for entry in section.raw("pairs")}
    except (TypeError, KeyError) as error:
        raise section.refuse("pairs", "give a list of {models: [...], pair: NAME}") from error
    wanted = [("small", "large"), ("small", "medium"), ("medium", "large"), ROLES]
    if set(pairs) != set(wanted):
        raise section.refuse("pairs", "name a pair for each of " + "; ".join(map(str, wanted)))
    name, images = section.text("name"), section.integer("images", 4)
    return Scale(name, pairs, images, _texts(section, "overrides"))


def _parse_figure(
    config: Any, scale: Scale, images: int | None, checkpoints: Mapping[str, str]
) -> tuple[Figure, tuple[str, ...]]:
    if not isinstance(config, Mapping) or scale.name not in config:
        raise UserError(f"scale={scale.name}: the figure has no section of that name; add one")
    name, own = config["name"], dict(config[scale.name])
    path = f"paper.{scale.name}"
    curves = own.pop("curves", [])
    parsed = tuple(
        _parse_curve(curve, f"{path}.curves.{i}", images or scale.images, images, checkpoints)
        for i, curve in enumerate(curves)
    )
    minutes, about = own.pop("minutes"), own.pop("about")
    kind = Section({"kind": config["kind"]}, "paper", ("kind",)).choice("kind", KINDS)
    own |= _checked(own, kind, path, images)
    if kind == "predict" and not own["probe"]["check"]:
        parsed = tuple(replace(curve, images=own["probe"]["images"]) for curve in parsed)
    figure = Figure(
        name=name,
        kind=kind,
        title=config["title"],
        claims=tuple(config["claims"]),
        minutes=minutes,
        about=about,
        curves=parsed,
        own=own,
        published=tuple(
            _parse_curve(curve, f"paper.full.curves.{i}", scale.images, None, {})
            for i, curve in enumerate(config.get("full", {}).get("curves", []))
            if "expected" in curve and kind == "curves"
        ),
    )
    return figure, tuple(config.get("members", ()))


def _checked(own: dict[str, Any], kind: str, path: str, images: int | None) -> dict[str, Any]:
    """The probe and the timing of a figure, checked; `images` is for probes but table 8's."""
    found: dict[str, Any] = {}
    if kind in PROBE_FIELDS:
        probe = Section(own["probe"], f"{path}.probe", PROBE_FIELDS[kind])
        count = probe.integer("images", 2)
        found["probe"] = dict(own["probe"]) | {
            "images": count if images is None or kind == "footprint" else images
        }
        if kind == "predict":
            probe.flag("check")
            probe.number("rise", 0.0, 10.0)
            limits = Section(probe.raw("thresholds"), f"{path}.probe.thresholds", METHODS)
            for name in METHODS:
                limits.number(name, 0.0)
        else:
            probe.text("sampler")
            probe.integer("steps", 2)
            probe.number("guidance", 0.0)
    if "timing" in own:
        timing = Section(own["timing"], f"{path}.timing", ("batch_size", "rounds"))
        timing.integer("batch_size", 1)
        timing.integer("rounds", 1)
    return found


def _parse_curve(
    config: Any, path: str, default: int, images: int | None, checkpoints: Mapping[str, str]
) -> Curve:
    section = Section(CURVE | dict(config), path, tuple(CURVE))
    models = tuple(section.raw("models"))
    kinds = tuple(section.raw("kinds"))
    if unknown := [kind for kind in kinds if kind not in SCHEDULES]:
        raise section.refuse("kinds", f"{unknown[0]} is none of {', '.join(SCHEDULES)}")
    if not set(models) <= set(ROLES) or len(models) < 2:
        raise section.refuse("models", f"choose two or three of {', '.join(ROLES)}")
    schedules = _shares(section, models)
    variants = {
        label: {role: checkpoints.get(label) or source for role, source in weights.items()}
        for label, weights in section.raw("variants").items()
    }
    expected = section.raw("expected") or {}
    own = section.raw("images")
    count = len(schedules) * len(kinds) * max(len(variants), 1)
    return Curve(
        models=models,
        sampler=section.text("sampler"),
        steps=section.integers("steps", 1),
        guidance=tuple(float(value) for value in section.raw("guidance")),
        kinds=kinds,
        shares=schedules,
        images=images or (default if own is None else section.integer("images", 4)),
        variants=variants,
        expected=_expected(expected, count, path),
        error=float(expected.get("error", 0.0)),
        source=str(expected.get("source", "")),
    )


def _shares(section: Section, models: tuple[str, ...]) -> tuple[Shares, ...]:
    """Shares of small, medium and large, of every schedule."""
    mixes: list[tuple[float, ...]] = [tuple(mix) for mix in section.raw("mixes")]
    if section.raw("simplex") is not None:
        parts = round(1 / section.number("simplex", 0.01, 1.0))
        counts = product(range(parts + 1), repeat=len(models) - 1)
        whole = [(*c, parts - sum(c)) for c in counts if sum(c) <= parts]
        mixes += [tuple(n / parts for n in count) for count in whole]
    if len(models) == 2:
        mixes += [(f, 1 - f) for f in section.raw("fractions")]
    for mix in mixes:
        good = len(mix) == len(models) and all(0 <= part <= 1 for part in mix)
        if not good or not math.isclose(sum(mix), 1, abs_tol=1e-7):
            raise UserError(f"paper: shares {mix} of {', '.join(models)} must add up to 1")
    return tuple(
        tuple(round(dict(zip(models, mix, strict=True)).get(role, 0.0), 9) for role in ROLES)
        for mix in mixes
    )


def _expected(config: Mapping[str, Any], count: int, path: str) -> tuple[dict[str, float], ...]:
    """The paper's values per schedule; a value that is not known is left out."""
    if "mixes" in config:
        names = ("fid", "inception_score", "seconds")
        listed = sorted(config["mixes"])  # as `_shares` lists them
        columns = {name: [mix[3 + k] for mix in listed] for k, name in enumerate(names)}
    else:
        columns = {k: v for k, v in config.items() if k not in ("source", "error")}
    if any(len(values) != count for values in columns.values()):
        raise UserError(f"{path}.expected: give {count} values of each metric, or null")
    return tuple(
        {name: float(v[i]) for name, v in columns.items() if v[i] is not None}
        for i in range(count if columns else 0)
    )


def _texts(section: Section, name: str) -> tuple[str, ...]:
    values = section.raw(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise section.refuse(name, f"give quoted overrides, \"{name}=['run.dtype=bf16']\"")
    return tuple(values)
