"""`scripts/finish.py`: what is made of shards, where the workers that made them are gone."""

from pathlib import Path
from typing import Any

import yaml

from tstitch.maker.parse import parse_experiment
from tstitch.maker.units import cut
from tstitch.run.directory import CONFIG_FILE, SHARDS
from tstitch.run.generate import complete_run
from tstitch.run.samples import SAMPLES, count_images
from tstitch.run.shards import listed, open_units
from tstitch.run.shared_models import SharedModels
from tstitch.runtime.errors import UserError
from tstitch.tracking.tracker import start_tracking


def run_finish(config: dict[str, Any]) -> Path:
    """Writes what a run leaves, from its own configuration; returns its directory.

    Raises:
        UserError: no run, or images that are missing.
    """
    folder = Path(config["dir"]).expanduser()
    own = _stored(folder)
    here = own["run"] | {"dir": str(folder), "overwrite": False}
    experiment = parse_experiment(own | {"run": here})
    run = experiment.run
    there = listed(folder / SHARDS)
    missing = sum(map(len, open_units(cut(run.num_images, run.batch_size), there)))
    if missing and count_images(folder / SAMPLES) < run.num_images:
        raise UserError(
            f"dir={folder}: {missing} of {run.num_images} images are missing; start its workers "
            "again, or scripts/sample.py as it was begun"
        )
    with start_tracking(experiment.tracking, "sample", experiment.config) as tracker:
        return complete_run(experiment, SharedModels(experiment), tracker).folder


def _stored(folder: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        own: dict[str, Any] = content["config"]
        return own | {"run": dict(own["run"])}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(
            f"dir={folder}: has no {CONFIG_FILE} of a run that can be read; give a run's directory"
        ) from error
