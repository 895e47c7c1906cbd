"""The checked `benchmark` section, and the cases it asks for."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import torch

from evaluation.cost.machine import has_bfloat16
from tstitch.config.cli import compose
from tstitch.config.section import Section
from tstitch.config.settings import RunSettings
from tstitch.runtime.device import DTYPES, choose_device, choose_dtype

PEER = "diffusers"
PEERS = (f"{PEER} compiled", PEER)


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """What to time; the fields are described in configs/benchmark.yaml."""

    dir: str | None
    minutes: float
    batch_sizes: tuple[int, ...]
    dtypes: tuple[str, ...]
    compile: tuple[bool, ...]
    processes: tuple[int, ...]
    baseline: str
    fractions: tuple[float, ...]
    rounds: int
    batches: int


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
            own = compose("sample", ["engine=plain"])["engine"] | {"threads": own["threads"]}
        else:
            own = own | {"compile": self.is_compiled}
        return base | {"engine": own, "run": run}


def parse_benchmark(config: Any, run: RunSettings) -> BenchmarkSettings:
    """Checks the `benchmark` section.

    Args:
        run: with the device, which decides what null means.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "benchmark", [field.name for field in fields(BenchmarkSettings)])
    device = choose_device(run.device, "run.device")
    cuda = device.type == "cuda"
    sizes: tuple[int, ...] = (32, 8, 64) if cuda else (16,)
    return BenchmarkSettings(
        dir=None if section.raw("dir") is None else section.path("dir"),
        minutes=section.number("minutes", 0.0),
        batch_sizes=sizes
        if section.raw("batch_sizes") is None
        else _counts(section, "batch_sizes"),
        dtypes=_dtypes(section, device, run.dtype),
        compile=_flags(section, "compile"),
        processes=_counts(section, "processes"),
        baseline=_baseline(section, device),
        fractions=_fractions(section),
        rounds=section.integer("rounds", 1),
        batches=(4 if cuda else 1)
        if section.raw("batches") is None
        else section.integer("batches", 1),
    )


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


def _counts(section: Section, name: str) -> tuple[int, ...]:
    values = _filled(section, name, lambda value: type(value) is int and value >= 1)
    if values is None:
        raise section.refuse(name, "give a list of whole numbers of at least 1")
    return values


def _dtypes(section: Section, device: torch.device, asked: str) -> tuple[str, ...]:
    if section.raw("dtypes") is None:
        if asked != "auto":
            choose_dtype(asked, device, "run.dtype")
            return (asked,)
        if device.type == "cuda":
            return ("fp16", "bf16")
        return ("bf16", "fp32") if device.type == "cpu" and has_bfloat16() else ("fp32",)
    names = _filled(section, "dtypes", lambda name: isinstance(name, str) and name in DTYPES)
    if names is None:
        raise section.refuse("dtypes", f"give a list of {', '.join(DTYPES)}")
    for name in names:
        choose_dtype(name, device, "benchmark.dtypes")
    return names


def _baseline(section: Section, device: torch.device) -> str:
    if section.raw("baseline") is None:
        return "tf32" if device.type == "cuda" else "fp32"
    name = section.choice("baseline", tuple(DTYPES))
    choose_dtype(name, device, "benchmark.baseline")
    return name


def _flags(section: Section, name: str) -> tuple[bool, ...]:
    values = _filled(section, name, lambda value: isinstance(value, bool))
    if values is None:
        raise section.refuse(name, "give a list of true and false")
    return values


def _fractions(section: Section) -> tuple[float, ...]:
    values = _filled(section, "fractions", lambda v: type(v) in (int, float) and 0 <= v <= 1)
    if values is None or 0 not in values:
        raise section.refuse("fractions", "give a list of numbers from 0 to 1, 0 among them")
    return tuple(sorted(float(value) for value in values))


def _filled(section: Section, name: str, good: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    """The values of a list, each once; None if there are none, or one that is not good."""
    values = section.raw(name)
    if not isinstance(values, list) or not values or not all(map(good, values)):
        return None
    return tuple(dict.fromkeys(values))
