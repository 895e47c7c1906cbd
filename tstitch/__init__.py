"""T-Stitch: small and large denoisers stitched along one sampling trajectory.

from tstitch import load
sampler = load("fashion_mnist", "stitch.fraction=0.4")
images = sampler(classes=[0, 1, 2], seed=0)  # uint8 (3, 28, 28, 3)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tstitch.runtime import siblings

if TYPE_CHECKING:
    from tstitch.api import evaluate, load
    from tstitch.pipelines.calibrate import calibrate
    from tstitch.pipelines.stitching import realised, stitch, unstitch
    from tstitch.runtime.errors import UserError

__all__ = ["UserError", "calibrate", "evaluate", "load", "realised", "stitch", "unstitch"]
_HOMES = {
    "UserError": "tstitch.runtime.errors",
    "calibrate": "tstitch.pipelines.calibrate",
    "realised": "tstitch.pipelines.stitching",
    "stitch": "tstitch.pipelines.stitching",
    "unstitch": "tstitch.pipelines.stitching",
}  # the others: tstitch.api
__version__ = "0.1.0"

siblings.claim()


def __getattr__(name: str) -> Any:
    """Loads torch and diffusers only when needed: every script imports this package."""
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "tstitch.api")), name)
    raise AttributeError(f"module 'tstitch' has no attribute {name!r}")
