"""Paired differences between evaluations, and what real images reach."""

import json
import logging
from typing import Any

from evaluation.metrics.jackknife import paired_difference
from tstitch.runtime.errors import UserError
from tstitch.scoring.fetch import fetch_file

log = logging.getLogger(__name__)


def compare(result: dict[str, Any], baseline: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Difference of every metric to the baseline's, with its paired interval.

    Args:
        result, baseline: of Evaluator.evaluate, on the same image indices and seed.
    """
    differences = {}
    for metric, own in result["metrics"].items():
        if metric not in baseline["metrics"]:
            continue
        base = baseline["metrics"][metric]
        found = paired_difference(
            own["value"], own["replicates"], base["value"], base["replicates"]
        )
        differences[metric] = {"difference": found.value, "low": found.low, "high": found.high}
    return differences


def read_floors(source: str | None, space: str, reference: str) -> list[dict[str, Any]]:
    """Evaluations of real images against this reference; none if the source is None.

    Args:
        source: JSON file of scripts/evaluate.py or scripts/reference.py.
        space: feature space of the samples' evaluation.
        reference: digest of its reference; floors of another one are left out, with a warning.

    Raises:
        UserError: no such file, not such JSON, or of another feature space.
    """
    if source is None:
        return []
    path = fetch_file(source, "evaluation.floor")
    try:
        content = json.loads(path.read_text())
        floors = content if isinstance(content, list) else [content]
        spaces = {f["space"] for f in floors if f["num_images"] > 0 and f["metrics"]}
        measured_on = [floor["protocol"]["reference"]["digest"] for floor in floors]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"evaluation.floor={source}: is no evaluation; give a JSON file of "
            "scripts/evaluate.py output=FILE"
        ) from error
    if spaces != {space}:
        raise UserError(
            f"evaluation.floor={source}: was measured in {', '.join(spaces) or 'Inception'}, not "
            f"in {space or 'Inception'}; measure it with the same evaluation"
        )
    same = [f for f, digest in zip(floors, measured_on, strict=True) if digest == reference]
    if not same:
        log.warning("evaluation.floor=%s: of another reference, not shown", source)
    return same


def nearest_floor(floors: list[dict[str, Any]], num_images: int) -> dict[str, Any] | None:
    """The evaluation of real images whose number is nearest: FID depends on it."""
    return min(floors, key=lambda floor: abs(floor["num_images"] - num_images), default=None)
