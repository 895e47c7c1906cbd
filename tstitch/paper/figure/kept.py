"""What a figure measured besides its points, kept in measured.json for the next command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation.cost.machine import device_name, versions
from tstitch.files.writing import write_json
from tstitch.maker.protocol import Experiment
from tstitch.paper.figure.base import Figure
from tstitch.paper.figure.settings import Reproduction
from tstitch.run.directory import writing
from tstitch.run.first_images import first_folder
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.runtime.threads import available_cores

MEASURED = "measured.json"


def measure_once(
    figure: Figure,
    settings: Reproduction,
    key: dict[str, Any],
    measure: Callable[[], dict[str, Any]],
    name: str = MEASURED,
) -> dict[str, Any]:
    """What an earlier command measured under the same key, or what is measured now: plain JSON.

    Every rank calls it alike. A measurement of more images stays; that of fewer goes below it.

    Args:
        name: of the file, where a figure measures several things.
    """
    count = figure.images_looked_at
    path = distributed.on_main(lambda: _place(figure.folder(settings), count, settings, name))
    kept = distributed.on_main(lambda: _read(path, key))
    if kept is not None:
        return kept
    measured = measure()

    def write() -> None:
        with writing(path.parent, "root"):
            path.parent.mkdir(parents=True, exist_ok=True)
            content = {"key": key, "images": count, "measured": measured}
            write_json(path, content)

    distributed.on_main(write)
    return measured


def measurement_key(experiment: Experiment, figure: Figure, shared: SharedModels) -> dict[str, Any]:
    """What decides a measurement: weights, sampler, engine, machine, and the figure's own part."""
    identity = distributed.on_main(lambda: shared.identity(experiment))
    return {
        "run": identity.fingerprint,
        "own": figure.measurement,
        "machine": [device_name(shared.engine.device), available_cores(), versions()["torch"]],
    }


def _place(folder: Path, count: int, settings: Reproduction, name: str) -> Path:
    """The file of a folder, or of one below it where that is of more images than `count`."""
    path = folder / name
    try:
        # One that does not say it is taken for that of the figure's own number of images.
        held = json.loads(path.read_text()).get("images", count + (settings.images is not None))
    except (OSError, ValueError, AttributeError):
        return path
    return first_folder(folder, count) / name if count and held > count else path


def _read(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
        return content["measured"] if content["key"] == json.loads(json.dumps(key)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
