"""The checked `benchmark` section, and the cases it asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator

from evaluation.cost.machine import has_bfloat16
from tstitch.config import fields
from tstitch.config.groups import group_option
from tstitch.runtime.device import DTYPES, choose_dtype

PEER = "diffusers"
PEERS = (f"{PEER} compiled", PEER)


def _listed(is_good: Callable[[Any], bool], remedy: str) -> BeforeValidator:
    """Some values, each kept once."""
    rule = fields.Rule(lambda v: fields.list_of(is_good)(v) and v, f"give a list of {remedy}")
    return BeforeValidator(lambda value: tuple(dict.fromkeys(rule(value))))


A_DTYPE = fields.one_of(tuple(DTYPES))
WITH_ALL_LARGE = "numbers from 0 to 1, 0 among them"
Counts = Annotated[tuple[int, ...], _listed(fields.whole(1).is_good, "whole numbers of at least 1")]
Fractions = Annotated[
    tuple[float, ...],
    AfterValidator(lambda values: tuple(sorted(values))),
    fields.Rule(lambda values: 0 in values, f"give a list of {WITH_ALL_LARGE}"),
    _listed(fields.number(0, 1).is_good, WITH_ALL_LARGE),
]


class BenchmarkSettings(fields.Settings):
    """What to time; the fields are described in configs/benchmark.yaml.

    Validated with the `device` and the `dtype` of the run, which decide what null means.
    """

    path = "benchmark"

    dir: fields.PathText | None
    minutes: fields.NotNegative
    batch_sizes: Counts
    dtypes: Annotated[tuple[str, ...], _listed(A_DTYPE.is_good, ", ".join(DTYPES))]
    compile: Annotated[tuple[bool, ...], _listed(fields.is_a(bool), "true and false")]
    processes: Counts
    baseline: Annotated[str, A_DTYPE]
    fractions: Fractions
    rounds: fields.Count
    batches: fields.Count

    @field_validator("batch_sizes", "dtypes", "baseline", "batches", mode="before")
    @classmethod
    def _choose(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            return value
        device, dtype = fields.context(info)["device"], fields.context(info)["dtype"]
        if info.field_name == "dtypes":
            return _choose_dtypes(device, dtype)
        cuda = device.type == "cuda"
        chosen = {
            "batch_sizes": (32, 8, 64) if cuda else (16,),
            "baseline": "tf32" if cuda else "fp32",
            "batches": 4 if cuda else 1,
        }
        return chosen[str(info.field_name)]

    @field_validator("dtypes", "baseline")
    @classmethod
    def _check_dtypes(cls, value: Any, info: ValidationInfo) -> Any:
        for name in (value,) if isinstance(value, str) else value:
            choose_dtype(name, fields.context(info)["device"], f"benchmark.{info.field_name}")
        return value


def _choose_dtypes(device: torch.device, asked: str) -> tuple[str, ...]:
    if asked != "auto":
        choose_dtype(asked, device, "run.dtype")
        return (asked,)
    if device.type == "cuda":
        return ("fp16", "bf16")
    return ("bf16", "fp32") if device.type == "cpu" and has_bfloat16() else ("fp32",)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to compute: an engine, a precision, a batch size, a number of processes."""

    batch_size: int
    dtype: str
    processes: int
    engine: str  # plain | eager | compiled | diffusers | diffusers compiled

    @property
    def name(self) -> str:
        """For tables."""
        several = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.engine} {self.dtype}, batch {self.batch_size}{several}"

    @property
    def is_peer(self) -> bool:
        """Whether it is not ours."""
        return self.engine.startswith(PEER)

    @property
    def is_compiled(self) -> bool:
        """Whether torch.compile is in it."""
        return self.engine.endswith("compiled")

    def compares_with(self, other: "Case") -> bool:
        """Whether the other one is the plain case whose speed this one's is divided by."""
        same = (self.batch_size, self.processes) == (other.batch_size, other.processes)
        return same and other.engine == "plain"

    def config(self, base: dict[str, Any]) -> dict[str, Any]:
        """The configuration of this case.

        Args:
            base: of the command line, without the section `benchmark`.
        """
        own = base["engine"]
        run = base["run"] | {"dtype": self.dtype, "batch_size": self.batch_size}
        if self.is_peer:
            return base | {"run": run}
        if self.engine == "plain":
            own = group_option("engine", "plain") | {"threads": own["threads"]}
        else:
            own = own | {"compile": self.is_compiled}
        return base | {"engine": own, "run": run}


def list_cases(settings: BenchmarkSettings, peer_dtype: str | None) -> list[list[Case]]:
    """The cases in groups that are measured in turns, one group per batch size.

    Groups, and cases in them, are in the order of their importance: that of the lists in the
    settings; after plain PyTorch and the first engine follow diffusers' rows, then the rest.

    Args:
        peer_dtype: of diffusers' rows, None = without them.
    """
    groups = []
    for size in settings.batch_sizes:
        plain = [Case(size, settings.baseline, n, "plain") for n in settings.processes]
        own = [
            Case(size, dtype, n, "compiled" if fast else "eager")
            for dtype, fast, n in product(settings.dtypes, settings.compile, settings.processes)
        ]
        alone = 1 in settings.processes  # whom diffusers' rows are compared with
        peers = [Case(size, peer_dtype, 1, name) for name in PEERS if peer_dtype and alone]
        first = len(settings.processes)
        groups.append([*plain, *own[:first], *peers, *own[first:]])
    return groups
