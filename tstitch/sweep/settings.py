"""The checked `sweep` section of the configuration."""

import math
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from tstitch.section import Section
from tstitch.settings import DIR_PATTERN

KINDS = ("fraction", "interleave", "large_to_small", "decreasing")
MAX_PARTS = 100


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


def parse_sweep(config: Any, num_models: int) -> SweepSettings:
    """Checks the `sweep` section.

    Args:
        num_models: denoisers of the pair.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "sweep", [field.name for field in fields(SweepSettings)])
    folder = None if section.raw("dir") is None else section.text("dir")
    if folder is not None and not DIR_PATTERN.fullmatch(folder):
        raise section.refuse("dir", "use only letters, digits and _ . / -")
    simplex = _simplex(section, num_models)
    fractions = _numbers(section, "fractions", 1.0)
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
    )


def _simplex(section: Section, num_models: int) -> tuple[tuple[float, ...], ...]:
    """All fractions of the denoisers in multiples of a step that divides one."""
    if section.raw("simplex") is None:
        return ()
    step = section.number("simplex", 1 / MAX_PARTS, 1.0)
    parts = round(1 / step)
    if not math.isclose(parts * step, 1.0, rel_tol=1e-9):
        raise section.refuse("simplex", "choose a step that divides 1, e.g. 0.1 or 0.25")
    shares = product(range(parts + 1), repeat=num_models - 1)
    whole = [(*share, parts - sum(share)) for share in shares if sum(share) <= parts]
    return tuple(tuple(n / parts for n in share) for share in whole)


def _numbers(section: Section, name: str, high: float | None) -> tuple[float, ...]:
    values = _list(section, name)
    good = all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not good or any(v < 0 or (high is not None and v > high) for v in values):
        span = "of at least 0" if high is None else f"from 0 to {high:g}"
        raise section.refuse(name, f"give a list of numbers {span}")
    return tuple(float(v) for v in values)


def _whole_numbers(section: Section, name: str) -> tuple[int, ...]:
    return section.integers(name, 1) if _list(section, name) else ()


def _names(section: Section, name: str, options: tuple[str, ...] | None) -> tuple[str, ...]:
    values = _list(section, name)
    known = "" if options is None else f" out of {', '.join(options)}"
    for value in values:
        if not isinstance(value, str) or (options is not None and value not in options):
            raise section.refuse(name, f"give a list of names{known}")
    return tuple(values)


def _list(section: Section, name: str) -> list[Any]:
    value = section.raw(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise section.refuse(name, f"write a list, {name}=[{value}]")
    if len({str(entry) for entry in value}) != len(value):
        raise section.refuse(name, "holds a value twice; give each once")
    return value
