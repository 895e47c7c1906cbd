"""The checked configuration of scripts/reproduce.py, the figure aside."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tstitch.config.section import Section
from tstitch.paper.figure.curves import ROLES
from tstitch.paper.figure.throughput import Throughput, fastest_case, rate_of
from tstitch.runtime.errors import UserError

# Of a run's overrides.
RESERVED = ("pair", "run.dir", "run.root", "run.num_images", "run.overwrite")
FIELDS = (
    "paper", "scale", "root", "report", "dry_run", "throughput", "images", "overrides", "weights",
    "checkpoints", "training",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Which pairs stand for the paper's models; described in configs/scale/."""

    name: str
    pairs: dict[tuple[str, ...], str]  # name of the pair, by the models it holds
    images: int
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What scripts/reproduce.py is told besides the figure."""

    scale: Scale
    root: str
    report: str | None  # folder of the report; None = that of the figure, below root
    dry_run: bool
    throughput: Throughput | None
    images: int | None  # in place of the figures' own
    overrides: tuple[str, ...]
    weights: dict[str, str]
    training: tuple[str, ...]
    checkpoints: dict[str, str]  # by label of a variant


def parse_reproduction(config: dict[str, Any]) -> Reproduction:
    """Checks the configuration of scripts/reproduce.py but for the figure; loads nothing.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "", FIELDS)
    checkpoints = section.raw("checkpoints")
    if not isinstance(checkpoints, Mapping):
        raise section.refuse("checkpoints", "give a path for each, e.g. checkpoints.at400K=/path")
    given = Section(checkpoints, "checkpoints", tuple(checkpoints))
    report = None if section.raw("report") is None else section.path("report")
    if report is not None and not Path(report).name:
        raise UserError(f"report={report}: name a folder; the report is FOLDER.md")
    weights = Section(section.raw("weights"), "weights", ROLES)
    return Reproduction(
        scale=_parse_scale(section.raw("scale")),
        root=section.path("root"),
        report=report,
        dry_run=section.flag("dry_run"),
        throughput=_throughput(section),
        images=None if section.raw("images") is None else section.integer("images", 4),
        overrides=_free(section.words("overrides", "run.dtype=bf16")),
        weights={r: weights.text(r) for r in ROLES if weights.raw(r) is not None},
        training=section.words("training", "train.steps=1000"),
        checkpoints={n: given.text(n) for n in checkpoints if given.raw(n) is not None},
    )


def _throughput(section: Section) -> Throughput | None:
    """A number of TFLOP/s, or the path of a benchmark.json.

    Raises:
        UserError: neither.
    """
    value = section.raw("throughput")
    if value is None:
        return None
    if not isinstance(value, str):
        return Throughput(section.number("throughput", 1e-6) * 1e12)
    try:
        document = json.loads(Path(value).read_text())
        protocol, case = document["protocol"], fastest_case(document)
        return Throughput(
            benchmark_throughput(document),
            value,
            protocol["pair"],
            f"{protocol['device']}, {case['name']}",
            tuple(sorted(protocol["gmacs_per_evaluation"].values())),
        )
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
    return rate_of(fastest_case(document)) * flops


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
    return Scale(name, pairs, images, section.words("overrides", "run.dtype=bf16"))
