"""What a tracker is told of runs."""

from typing import Any

from tstitch.run.finished import GRID, FinishedRun
from tstitch.tracking.tracker import Tracker


def track_run(tracker: Tracker, run: FinishedRun) -> None:
    """Reports a finished run's numbers and grid."""
    metrics = run.metrics
    seconds = metrics.seconds_per_image
    tracker.summarize(
        {
            "run_dir": str(run.folder),
            "fingerprint": metrics.fingerprint,
            "nfe_per_image": metrics.nfe_per_image,
            "gmacs_per_image": metrics.gmacs_per_image,
            "seconds_per_image": seconds.total if seconds else None,
            "steps": {name: row.steps for name, row in metrics.denoisers.items()},
        }
    )
    if run.evaluation is not None:
        tracker.summarize(_values(run))
    tracker.images("grid", [run.folder / GRID])


def track_point(tracker: Tracker, series: str, label: str, run: FinishedRun) -> None:
    """Reports one run of a sweep."""
    values = {"series": series, "label": label, "gmacs_per_image": run.metrics.gmacs_per_image}
    tracker.log({f"point/{k}": v for k, v in (values | _values(run)).items()})


def _values(run: FinishedRun) -> dict[str, Any]:
    """Value and interval of every metric, flat: fid, fid_low, fid_high, ..."""
    values = {}
    for metric, entry in run.evaluated.metrics.items():
        values[metric] = entry.value
        values[f"{metric}_low"], values[f"{metric}_high"] = entry.low, entry.high
    return values
