"""T-Stitch: small and large denoisers stitched along one sampling trajectory.

from tstitch import load
sampler = load("fashion_mnist", "stitch.fraction=0.4")
images = sampler(classes=[0, 1, 2], seed=0)  # uint8 (3, 28, 28, 3)
"""

from typing import TYPE_CHECKING, Any

from tstitch.runtime import siblings

if TYPE_CHECKING:
    from tstitch.api import evaluate, load
    from tstitch.runtime.errors import UserError

__all__ = ["UserError", "evaluate", "load"]
__version__ = "0.1.0"

siblings.claim()


def __getattr__(name: str) -> Any:
    """Loads torch only when it is needed: every script imports this package."""
    if name in __all__:
        from tstitch import api

        return getattr(api, name)
    raise AttributeError(f"module 'tstitch' has no attribute {name!r}")
