"""Paired differences between evaluations, and what real images reach."""

import json
import logging

from evaluation.metrics.measured import Difference
from tstitch.runtime.errors import UserError
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.fetch import fetch_file

log = logging.getLogger(__name__)


def compare(result: Evaluation, baseline: Evaluation) -> dict[str, Difference]:
    """Difference of every metric to the baseline's, by metric, with its paired interval.

    Args:
        result, baseline: on the same image indices and seed.
    """
    differences = {}
    for metric, own in result.metrics.items():
        if (other := baseline.metrics.get(metric)) is not None:
            found = own.minus(other)
            differences[metric] = Difference(difference=found.value, low=found.low, high=found.high)
    return differences


def read_floors(source: str | None, space: str, reference: str) -> list[Evaluation]:
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
        entries = content if isinstance(content, list) else [content]
        floors = [Evaluation.model_validate(entry) for entry in entries]
    except (OSError, ValueError) as error:
        raise UserError(
            f"evaluation.floor={source}: is no evaluation; give a JSON file of "
            "scripts/evaluate.py output=FILE"
        ) from error
    spaces = {floor.space for floor in floors if floor.num_images > 0 and floor.metrics}
    if spaces != {space}:
        raise UserError(
            f"evaluation.floor={source}: was measured in {', '.join(spaces) or 'Inception'}, not "
            f"in {space or 'Inception'}; measure it with the same evaluation"
        )
    same = [floor for floor in floors if floor.protocol.reference.digest == reference]
    if not same:
        log.warning("evaluation.floor=%s: of another reference, not shown", source)
    return same


def nearest_floor(floors: list[Evaluation], num_images: int) -> Evaluation | None:
    """The evaluation of real images whose number is nearest: FID depends on it."""
    return min(floors, key=lambda floor: abs(floor.num_images - num_images), default=None)
