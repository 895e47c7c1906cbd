"""Tests of claims about predictions, frequencies, memory and fine-tuning."""

from collections.abc import Callable, Mapping
from statistics import mean

from evaluation.metrics.spectrum import half_way
from tstitch.paper.figures import FigureData
from tstitch.paper.footprint import memory_range
from tstitch.paper.tuning import ALL, BEFORE, OWN
from tstitch.paper.verdicts_curves import Answer, Untestable, text

OVERHEAD = 1.1  # of two models over the large one


def c16(data: FigureData) -> Answer:
    good, parts = True, []
    for kind in ("shared", "separate"):
        for pair, course in data.extra[kind].items():
            cosine = course["cosine"]
            fifth = max(1, len(cosine) // 5)
            early, late = mean(cosine[:fifth]), mean(cosine[-fifth:])
            if kind == "shared":
                good = good and min(cosine[:fifth]) >= 0.95 and late < early
            parts.append(f"{kind} {pair}: {early:.3f} to {late:.3f}")
    return good, "cosine, mean of the first and the last fifth: " + "; ".join(parts)


def c17(data: FigureData) -> Answer:
    rows = data.extra["amplitude"]
    quarter = max(1, len(rows[0]) // 4)
    low = half_way([mean(row[:quarter]) for row in rows])
    high = half_way([mean(row[-quarter:]) for row in rows])
    return low < high, (
        f"half of the change after {low:.1f} of {len(rows) - 1} steps (lowest quarter), "
        f"{high:.1f} (highest)"
    )


def c22(data: FigureData) -> Answer:
    at = {r.spot.variant: r for r in data.results}
    own, every = at[OWN].minus(at[ALL]), at[ALL].minus(at[BEFORE])
    ends = ", ".join(f"{label} {at[label].value():.4g}" for label in (BEFORE, ALL, OWN))
    return own.high < 0 and every.high < 0, (
        f"{ends}; own minus all timesteps {text(own, '+')}, all timesteps minus pretrained "
        f"{text(every, '+')}"
    )


def c23(data: FigureData) -> Answer:
    _, large, both = data.extra["rows"]
    if not (large["storage_bytes"] and both["storage_bytes"]):
        raise Untestable("the size of the weights' files is not known")
    parameters, memory, storage = (
        both[key] / large[key] for key in ("parameters", "memory_bytes", "storage_bytes")
    )
    low, high = memory_range(both, large)
    numbers = (
        f"parameters {parameters - 1:+.1%}, memory {memory - 1:+.1%} [{low - 1:+.1%}, "
        f"{high - 1:+.1%}] (least and most of the repetitions), storage {storage - 1:+.1%}"
    )
    if max(parameters, storage) > OVERHEAD or low > OVERHEAD:
        return False, numbers
    return True if high <= OVERHEAD else None, numbers


PROBE_TESTS: Mapping[str, Callable[..., Answer]] = {"C16": c16, "C17": c17, "C22": c22, "C23": c23}
