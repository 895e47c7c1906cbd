"""The checked `benchmark` section, and the cases it asks for."""

from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import torch

from evaluation.machine import has_bfloat16
from tstitch.device import DTYPES, choose_device, choose_dtype
from tstitch.section import Section
from tstitch.settings import RunSettings

PLAIN = {
    "compile": False,
    "cuda_graphs": False,
    "offload": False,
    "threads": "auto",
    "keep_memory": False,
}


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """What to time; the fields are described in configs/benchmark.yaml."""

    dir: str | None
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
    engine: str  # plain | eager | compiled

    @property
    def name(self) -> str:
        """For tables."""
        several = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.engine} {self.dtype}, batch {self.batch_size}{several}"

    def config(self, base: dict[str, Any]) -> dict[str, Any]:
        """The configuration of this case.

        Args:
            base: of the command line, without the section `benchmark`.
        """
        own = PLAIN if self.engine == "plain" else base["engine"]
        if self.engine != "plain":
            own = own | {"compile": self.engine == "compiled"}
        run = base["run"] | {"dtype": self.dtype, "batch_size": self.batch_size}
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
    numbers = {"batch_sizes": (8, 32, 64) if cuda else (16,), "processes": (1,)}
    for name in numbers:
        if section.raw(name) is not None:
            numbers[name] = _filled(section, name, section.integers(name, 1))
    return BenchmarkSettings(
        dir=None if section.raw("dir") is None else section.text("dir"),
        batch_sizes=numbers["batch_sizes"],
        dtypes=_dtypes(section, device),
        compile=_flags(section, "compile"),
        processes=numbers["processes"],
        baseline=_baseline(section, device),
        fractions=_fractions(section),
        rounds=section.integer("rounds", 1),
        batches=(4 if cuda else 1)
        if section.raw("batches") is None
        else section.integer("batches", 1),
    )


def list_cases(settings: BenchmarkSettings) -> list[list[Case]]:
    """The cases in groups that are measured in turns: one group per batch size."""
    groups = []
    for size in settings.batch_sizes:
        group = [Case(size, settings.baseline, n, "plain") for n in settings.processes]
        for dtype, fast, n in product(settings.dtypes, settings.compile, settings.processes):
            group.append(Case(size, dtype, n, "compiled" if fast else "eager"))
        groups.append(group)
    return groups


def _dtypes(section: Section, device: torch.device) -> tuple[str, ...]:
    if section.raw("dtypes") is None:
        if device.type == "cuda":
            return ("tf32", "bf16")
        return ("fp32", "bf16") if device.type == "cpu" and has_bfloat16() else ("fp32",)
    names = _filled(section, "dtypes", section.raw("dtypes"))
    for name in names:
        if name not in DTYPES:
            raise section.refuse("dtypes", f"choose from {', '.join(DTYPES)}")
        choose_dtype(name, device, "benchmark.dtypes")
    return names


def _baseline(section: Section, device: torch.device) -> str:
    if section.raw("baseline") is None:
        return "tf32" if device.type == "cuda" else "fp32"
    name = section.choice("baseline", tuple(DTYPES))
    choose_dtype(name, device, "benchmark.baseline")
    return name


def _flags(section: Section, name: str) -> tuple[bool, ...]:
    values = _filled(section, name, section.raw(name))
    if not all(isinstance(value, bool) for value in values):
        raise section.refuse(name, "give a list of true and false")
    return values


def _fractions(section: Section) -> tuple[float, ...]:
    values = _filled(section, "fractions", section.raw("fractions"))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers or not all(0 <= value <= 1 for value in values) or 0 not in values:
        raise section.refuse("fractions", "give numbers from 0 to 1, 0 among them")
    return tuple(sorted(float(value) for value in values))


def _filled(section: Section, name: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or not values:
        raise section.refuse(name, "give a list that is not empty")
    return tuple(dict.fromkeys(values))
