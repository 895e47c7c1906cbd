"""`scripts/evaluate.py`: metrics of any images against any reference."""

from pathlib import Path
from typing import Any

from evaluation.features.images import ImageSource
from tstitch.config import fields
from tstitch.config.settings import Device
from tstitch.files.writing import writing_file
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.start import start_process
from tstitch.scoring.compare import compare, nearest_floor, read_floors
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.paired import PairedEvaluator
from tstitch.scoring.samples import open_samples, report_pairing
from tstitch.scoring.settings import EvaluationSettings
from tstitch.scoring.table import render_table


class EvaluateSettings(fields.Settings):
    """The whole configuration; described in configs/evaluate.yaml."""

    samples: fields.Text
    prompts: fields.PathText | None
    reference: fields.Text | None
    baseline: fields.Text | None
    output: fields.PathText | None
    device: Device
    evaluation: Any


def run_evaluation(config: dict[str, Any]) -> None:
    """Measures `samples`, and how it differs from `baseline`, image by image; prints tables.

    Raises:
        UserError: bad input, on every rank alike.
    """
    given = EvaluateSettings.parse(config)
    samples, baseline, evaluation = given.samples, given.baseline, given.evaluation
    if given.reference is not None and isinstance(evaluation, dict):
        evaluation = evaluation | {"reference": given.reference}
    settings = EvaluationSettings.parse(evaluation)
    if settings.extractor is None:
        raise UserError("evaluation.extractor=null: choose evaluation=inception or fashion_mnist")
    if not settings.enabled:
        raise UserError("reference=null: give the real images or their statistics")
    device = start_process(given.device, "device")
    images = _everywhere_open(samples, "samples", given.prompts)
    others = None if baseline is None else _everywhere_open(baseline, "baseline", given.prompts)
    if others and len(others) != len(images):
        raise UserError(
            f"baseline={baseline}: holds {len(others)} images, samples {len(images)}; a paired "
            "difference needs the same image indices"
        )
    if others:
        report_pairing(images, others)
    evaluator = Evaluator(settings, device)
    evaluator.check_labels(images, f"samples={samples}")
    result = evaluator.evaluate(images, f"samples={samples}")
    if others:
        other = evaluator.evaluate(others, f"baseline={baseline}")
        paired = PairedEvaluator(evaluator, others, f"baseline={baseline}")
        changes = {
            "baseline": other,
            "differences": compare(result, other),
            "paired": paired.measure(images, f"samples={samples}"),
        }
        result = result.model_copy(update=changes)
    digest = evaluator.identity.reference
    floors = distributed.on_main(lambda: read_floors(settings.floor, evaluator.space, digest))
    floor = nearest_floor(floors, len(images))
    distributed.on_main(lambda: _show(result, floor, given.output))


def _everywhere_open(source: str, field: str, prompts: str | None) -> ImageSource:
    """On rank 0 first: what it downloads, the others find."""
    return distributed.main_first(lambda: open_samples(source, field, prompts))


def _show(result: Evaluation, floor: Evaluation | None, output: str | None) -> None:
    print(render_table(result, floor), flush=True)
    if output is not None:
        with writing_file(Path(output), "output"):
            result.write(Path(output))
