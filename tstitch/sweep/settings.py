"""The checked `sweep` section of the configuration."""

from dataclasses import dataclass, fields
from typing import Any

from tstitch.config.section import Section
from tstitch.config.simplex import parse_simplex

KINDS = ("fraction", "interleave", "large_to_small", "decreasing")


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What to vary; described in configs/sweep.yaml."""

    dir: str | None
    fractions: tuple[float, ...]
    kinds: tuple[str, ...]
    simplex: tuple[tuple[float, ...], ...]  # fractions of all denoisers, one entry per run
    samplers: tuple[str, ...]
    steps: tuple[int, ...]
    guidance: tuple[float, ...]
    strip: int
    timing_rounds: int


def parse_sweep(config: Any, num_models: int) -> SweepSettings:
    """Checks the `sweep` section.

    Args:
        num_models: denoisers of the pair.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "sweep", [field.name for field in fields(SweepSettings)])
    folder = None if section.raw("dir") is None else section.path("dir")
    simplex = parse_simplex(section, num_models)
    fractions = _numbers(section, "fractions", 1)
    if num_models != 2 and not simplex and fractions:
        raise section.refuse(
            "fractions",
            f"the pair has {num_models} denoisers; choose sweep.simplex=0.1 (a step between "
            "fractions), or sweep.fractions=[] for the one schedule of stitch",
        )
    kinds = _names(section, "kinds", KINDS)
    if not kinds and fractions and not simplex:
        raise section.refuse("kinds", f"choose at least one of {', '.join(KINDS)}")
    return SweepSettings(
        dir=folder,
        fractions=fractions,
        kinds=kinds,
        simplex=simplex,
        samplers=_names(section, "samplers", None),
        steps=_whole_numbers(section, "steps"),
        guidance=_numbers(section, "guidance", None),
        strip=section.integer("strip", 0, 100),
        timing_rounds=section.integer("timing_rounds", 0, 1000),
    )


def _numbers(section: Section, name: str, high: int | None) -> tuple[float, ...]:
    return section.numbers(name, 0, high) if _list(section, name) else ()


def _whole_numbers(section: Section, name: str) -> tuple[int, ...]:
    return section.integers(name, 1) if _list(section, name) else ()


def _names(section: Section, name: str, options: tuple[str, ...] | None) -> tuple[str, ...]:
    return section.texts(name, options) if _list(section, name) else ()


def _list(section: Section, name: str) -> list[Any]:
    value = section.raw(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise section.refuse(name, f"write a list, {name}=[{value}]")
    if len({str(entry) for entry in value}) != len(value):
        raise section.refuse(name, "holds a value twice; give each once")
    return value
