"""What a complete run is to others: its folder, and what its files say."""

from dataclasses import dataclass
from pathlib import Path

from tstitch.run.metrics import RunMetrics
from tstitch.runtime.errors import UserError
from tstitch.scoring.evaluation import Evaluation

GRID, METRICS, REPORT = "grid.png", "metrics.json", "report.md"
EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run whose images are all there."""

    folder: Path
    metrics: RunMetrics
    evaluation: Evaluation | None = None  # None = not evaluated

    @property
    def evaluated(self) -> Evaluation:
        """Its evaluation.

        Raises:
            UserError: there is none.
        """
        if self.evaluation is None:
            raise UserError(
                f"{self.folder}: is not evaluated; choose a larger run.num_images, or run the "
                "command again"
            )
        return self.evaluation

    def stored_evaluation(self) -> Evaluation | None:
        """evaluation.json, None if there is none or it is of other images."""
        try:
            evaluation = Evaluation.read(self.folder / EVALUATION)
        except (OSError, ValueError):
            return None
        images = (evaluation.fingerprint, evaluation.num_images)
        own = (self.metrics.fingerprint, self.metrics.protocol.num_images)
        return evaluation if images == own else None
