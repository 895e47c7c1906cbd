"""What a complete run is to others: its folder, and what its files say."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRID, METRICS, REPORT = "grid.png", "metrics.json", "report.md"
EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run whose images are all there."""

    folder: Path
    metrics: dict[str, Any]  # of metrics.json
    evaluation: dict[str, Any] | None = None  # of evaluation.json; None = not evaluated

    def stored_evaluation(self) -> dict[str, Any] | None:
        """evaluation.json, None if there is none or it is of other images."""
        try:
            evaluation = json.loads((self.folder / EVALUATION).read_text())
            images = (evaluation["fingerprint"], evaluation["num_images"])
            own = (self.metrics["fingerprint"], self.metrics["protocol"]["num_images"])
            return evaluation if images == own else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
