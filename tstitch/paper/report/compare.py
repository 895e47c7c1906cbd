"""Ours beside the paper's values, with the tolerance that repeating the paper allows."""

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.metrics.jackknife import Interval
from tstitch.paper.figure.measure import Result

# FID-5K of the same models in Figures 1 and 5, which differ in their samples alone.
EARLY, LATE, CUT = 0.15, 0.65, 0.6
COUNT = 5000
TOLERANCE = (
    f"Two FID-5K runs of the paper (DiT-XL with DiT-S, 100 steps) differ by up to {EARLY} up to "
    f"fraction {CUT} and by 0.4 to {LATE} beyond; the error of reading a plot is added. Where FID "
    "is far above 10 (few steps of DDPM) chance is larger than that."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A point that the paper has too."""

    result: Result
    paper: float
    tolerance: float

    @property
    def ours(self) -> Interval:
        """FID with its interval."""
        return self.result.estimate()

    @property
    def inside(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.ours.value - self.paper) <= self.tolerance


def tolerance(fraction: float, error: float) -> float:
    """How far an FID-5K may lie from the paper's value.

    Args:
        fraction: share of all models but the largest.
        error: of reading the value.
    """
    return (EARLY if fraction <= CUT + 1e-9 else LATE) + error


def compare_with_paper(results: Sequence[Result]) -> list[Comparison]:
    """Every point whose FID the paper gives; of as many images, FID depends on them."""
    return [
        Comparison(r, r.point.expected["fid"], tolerance(r.point.fraction, r.point.error))
        for r in results
        if "fid" in r.point.expected and r.point.images == COUNT
    ]
