"""Stitch schedules: which denoiser runs which step of a trajectory (T-Stitch, Sec. 3 and Table 7).

A schedule is resolved once, on the host, before anything is sampled. Model 0 is the smallest. This
file names all of them; each `stitch_*.py` has the kinds of one sort.
"""

from .stitch_base import Misfit, PlannedSchedule, StitchSchedule
from .stitch_orders import Decreasing, Explicit, Interleave, Random
from .stitch_parts import Boundary, Fraction, Fractions, LargeToSmall, Last, Window
from .stitch_resolved import Budget, ResolvedSchedule, Search, TopK, least, spend

__all__ = [
    "Boundary", "Budget", "Decreasing", "Explicit", "Fraction", "Fractions", "Interleave",
    "LargeToSmall", "Last", "Misfit", "PlannedSchedule", "Random", "ResolvedSchedule", "Search",
    "StitchSchedule", "TopK", "Window", "least", "spend",
]  # fmt: skip
