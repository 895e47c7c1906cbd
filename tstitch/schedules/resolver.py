"""How a kind of schedule that is found by measuring is found, described and drawn."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from evaluation.report.panels import Panel
from samplers.stitch import ResolvedSchedule
from tstitch.maker.protocol import SteppedMaker

S = TypeVar("S", bound=ResolvedSchedule)


class Resolver(ABC, Generic[S]):
    """Of one kind."""

    @abstractmethod
    def resolve(self, maker: SteppedMaker, schedule: S) -> dict[str, Any]:
        """Measures; rank 0 alone calls it, all denoisers being prepared.

        Args:
            maker: of the run, with the largest denoiser alone.

        Returns:
            Plain JSON, `models` among it, which the run's directory keeps.

        Raises:
            UserError: a target that cannot be met, or a maker that cannot be measured.
        """

    @abstractmethod
    def describe(self, found: dict[str, Any]) -> str:
        """What was found, in a line."""

    def panels(self, found: dict[str, Any]) -> list[Panel]:
        """A picture of what was found; none if empty."""
        return []
