"""`scripts/evaluate.py`: metrics of any images against any reference."""

import json
from pathlib import Path
from typing import Any

from evaluation.images import ImageSource, open_images
from tstitch import distributed
from tstitch.device import choose_device
from tstitch.errors import UserError
from tstitch.files import write_text
from tstitch.scoring.compare import compare
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.settings import parse_evaluation
from tstitch.scoring.table import render_table
from tstitch.section import Section

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
    if not settings.enabled:
        raise UserError("reference=null: give the real images or their statistics")
    samples = section.text("samples")
    baseline = None if section.raw("baseline") is None else section.text("baseline")
    output = None if section.raw("output") is None else Path(section.text("output"))
    device = choose_device(section.text("device"), "device")
    distributed.start()
    images = distributed.everywhere(lambda: open_samples(samples, "samples"))
    others = distributed.everywhere(lambda: baseline and open_samples(baseline, "baseline"))
    if others and len(others) != len(images):
        raise UserError(
            f"baseline={baseline}: holds {len(others)} images, samples {len(images)}; a paired "
            "difference needs the same image indices"
        )
    evaluator = Evaluator(settings, device)
    result = evaluator.evaluate(images, f"samples={samples}")
    if others:
        result["baseline"] = evaluator.evaluate(others, f"baseline={baseline}")
        result["differences"] = compare(result, result["baseline"])
    distributed.on_main(lambda: _show(result, output))


def open_samples(path: str, field: str) -> ImageSource:
    """The images of a file or folder.

    Raises:
        UserError: not such images.
    """
    try:
        return open_images(path, field)
    except ValueError as error:
        raise UserError(str(error)) from error


def _show(result: dict[str, Any], output: Path | None) -> None:
    print(render_table(result), flush=True)
    if output is None:
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(result, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror})") from error
