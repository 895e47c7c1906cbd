"""The checked configuration of scripts/reproduce.py, the figure aside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from tstitch.config import fields
from tstitch.paper.figure.curves import ROLES
from tstitch.paper.figure.throughput import Throughput, fastest_case, rate_of
from tstitch.runtime.errors import UserError

# Of a run's overrides.
RESERVED = (
    "pair", "run.dir", "run.root", "run.num_images", "run.overwrite", "guidance", "guidance.guide"
)  # fmt: skip
TWO = ("small", "large")
PAIRS = [TWO, ("small", "medium"), ("medium", "large"), ROLES]
USUAL = "fashion_mnist"  # the miniature that nothing is named by


def _pairs(entries: Any) -> dict[tuple[str, ...], str]:
    try:
        pairs = {tuple(entry["models"]): str(entry["pair"]) for entry in entries}
    except (TypeError, KeyError) as error:
        raise ValueError("give a list of {models: [...], pair: NAME}") from error
    if set(pairs) not in ({TWO}, set(PAIRS)):
        raise ValueError(f"name a pair for {TWO}, or for each of {'; '.join(map(str, PAIRS))}")
    return pairs


def _folder(report: str) -> str:
    if not Path(report).name:
        raise UserError(f"report={report}: name a folder; the report is FOLDER.md")
    return report


def _throughput(value: Any) -> Throughput:
    """Of a number of TFLOP/s, or the path of a benchmark.json."""
    if not isinstance(value, str):
        return Throughput(fields.number(1e-6)(value) * 1e12)
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
        raise ValueError("give TFLOP/s, or a benchmark.json") from error


def benchmark_throughput(document: dict[str, Any]) -> float:
    """FLOP/s of the largest denoiser alone in the fastest case of a benchmark.json."""
    protocol = document["protocol"]
    guidance, gmacs = protocol["guidance"], protocol["gmacs_per_evaluation"]
    largest = max(gmacs.values())
    # Of a guided step the second evaluation is the guide's, if there is one.
    second = gmacs[guidance["guide"]] if "guide" in guidance else largest
    step = largest if guidance["scale"] == 1 else largest + second
    return rate_of(fastest_case(document)) * protocol["sampler"]["steps"] * step * 2e9


def _free(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The overrides, none of which may be what a figure decides."""
    for word in overrides:
        name = word.partition("=")[0].lstrip("+~")
        if name in RESERVED or name.startswith("stitch"):
            raise UserError(f"overrides: {word} is for the figure to decide; leave it out")
    return overrides


def _given(values: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in values.items() if value is not None}


Images = Annotated[int, fields.whole(4)]
Overrides = Annotated[tuple[str, ...], fields.words("run.dtype=bf16")]
EXAMPLE = "give a path for each, e.g. checkpoints.at400K=/path"
PATHS = fields.Rule(fields.is_a(Mapping), EXAMPLE)


class Scale(fields.Settings):
    """Which pairs stand for the paper's models; described in configs/scale/ and miniature/."""

    name: fields.Text
    miniature: fields.Text  # whose models, in miniature
    about: fields.Text | None  # of these models
    pairs: Annotated[dict[tuple[str, ...], str], BeforeValidator(_pairs)]  # by the models they hold
    images: Images
    overrides: Overrides

    @model_validator(mode="after")
    def _check_miniature(self) -> Self:
        if self.name == "full" and self.miniature != USUAL:
            raise UserError(
                f"miniature={self.miniature}: is for scale=miniature; leave it out at full scale"
            )
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """The models that it has, small to large."""
        return max(self.pairs, key=len)

    @property
    def label(self) -> str:
        """What its reports are named by: miniature, emoji_dit, full."""
        return self.name if self.miniature == USUAL else self.miniature

    @property
    def words(self) -> str:
        """What a command says to have it."""
        if self.miniature != USUAL:
            return f" miniature={self.miniature}"
        return "" if self.name == "miniature" else f" scale={self.name}"


class Weights(fields.Settings):
    """Weights in place of the configured ones."""

    small: fields.Text | None
    medium: fields.Text | None
    large: fields.Text | None
    uvit: fields.Text | None = None  # the large model of Table 5
    ldm_s: fields.Text | None = None  # of Table 1
    ldm: fields.Text | None = None
    unet_s: fields.Text | None = None  # of Table 1 in miniature
    unet: fields.Text | None = None


def _weights(config: Any) -> dict[str, str]:
    return Weights.model_validate(config).model_dump(exclude_none=True)


class Reproduction(fields.Settings):
    """The whole configuration; described in configs/reproduce.yaml."""

    paper: Any
    scale: Scale
    root: fields.PathText
    report: Annotated[fields.PathText, AfterValidator(_folder)] | None  # null = below root
    beside: fields.PathText | None  # another ledger's report
    dry_run: fields.Flag
    throughput: Annotated[Throughput, BeforeValidator(_throughput)] | None
    images: Images | None  # in place of the figures' own
    overrides: Annotated[Overrides, AfterValidator(_free)]
    weights: Annotated[dict[str, str], BeforeValidator(_weights)]  # by model
    # By label of a variant.
    checkpoints: Annotated[dict[Any, fields.Text | None], AfterValidator(_given), PATHS]
    training: Annotated[tuple[str, ...], fields.words("train.steps=1000")]
