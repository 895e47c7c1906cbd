"""`scripts/evaluate.py`: metrics of any images against any reference."""

from pathlib import Path
from typing import Any

from evaluation.features.images import ImageSource
from tstitch.config.section import Section
from tstitch.files.writing import write_json, writing_file
from tstitch.runtime import distributed
from tstitch.runtime.device import DEVICES
from tstitch.runtime.errors import UserError
from tstitch.runtime.start import start_process
from tstitch.scoring.compare import compare, nearest_floor, read_floors
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.samples import open_samples, report_pairing
from tstitch.scoring.settings import parse_evaluation
from tstitch.scoring.table import render_table

FIELDS = ("samples", "reference", "baseline", "output", "device", "evaluation")


def run_evaluation(config: dict[str, Any]) -> None:
    """Measures `samples`, and its paired difference to `baseline`; prints a table.

    Raises:
        UserError: bad input, on every rank alike.
    """
    section = Section(config, "", FIELDS)
    evaluation = dict(config["evaluation"]) if isinstance(config["evaluation"], dict) else None
    if evaluation is not None and section.raw("reference") is not None:
        evaluation["reference"] = section.text("reference")
    settings = parse_evaluation(evaluation)
    if settings.extractor is None:
        raise UserError("evaluation.extractor=null: choose evaluation=inception or fashion_mnist")
    if not settings.enabled:
        raise UserError("reference=null: give the real images or their statistics")
    samples = section.text("samples")
    baseline = None if section.raw("baseline") is None else section.text("baseline")
    output = None if section.raw("output") is None else Path(section.path("output"))
    device = start_process(section.choice("device", DEVICES), "device")
    images = _everywhere_open(samples, "samples")
    others = None if baseline is None else _everywhere_open(baseline, "baseline")
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
        result["baseline"] = evaluator.evaluate(others, f"baseline={baseline}")
        result["differences"] = compare(result, result["baseline"])
    digest = evaluator.identity["reference"]
    floors = distributed.on_main(lambda: read_floors(settings.floor, evaluator.space, digest))
    floor = nearest_floor(floors, len(images))
    distributed.on_main(lambda: _show(result, floor, output))


def _everywhere_open(source: str, field: str) -> ImageSource:
    """On rank 0 first: what it downloads, the others find."""
    return distributed.main_first(lambda: open_samples(source, field))


def _show(result: dict[str, Any], floor: dict[str, Any] | None, output: Path | None) -> None:
    print(render_table(result, floor), flush=True)
    if output is not None:
        with writing_file(output, "output"):
            write_json(output, result)
