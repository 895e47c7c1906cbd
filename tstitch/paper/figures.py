"""Measures a figure: its points, and what its kind looks at besides."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evaluation.cost.machine import device_name, versions
from tstitch import distributed
from tstitch.experiment import Experiment
from tstitch.files import write_text
from tstitch.fingerprint import fingerprint
from tstitch.first import first_folder
from tstitch.paper.curve_settings import ROLES
from tstitch.paper.figure_settings import Figure, ProbeSettings
from tstitch.paper.footprint import REPEATS, measure_footprint
from tstitch.paper.measure import Result, Stock, measure
from tstitch.paper.plan import plan_spots
from tstitch.paper.predict import estimate_curves
from tstitch.paper.probes import Probe, measure_similarity, measure_spectrum, on_rank_0, probe_spot
from tstitch.paper.settings import Reproduction
from tstitch.paper.timing import time_fractions
from tstitch.paper.tuning import train_variants
from tstitch.resources import Resources
from tstitch.rundir import writing
from tstitch.threads import available_cores

MEASURED = "measured.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FigureData:
    """What a figure shows; filled on rank 0."""

    figure: Figure
    results: list[Result] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)  # plain JSON, by kind


def produce(figure: Figure, told: Reproduction, stock: Stock, report: Path) -> FigureData:
    """Measures what is missing of a figure; every rank calls it alike.

    Args:
        report: folder of the report, to which points name their directories.

    Raises:
        UserError: bad input; what is measured stays.
    """
    log.info("%s: %s", figure.name, figure.title)
    if figure.kind == "tuning":
        stock.release()
        figure = train_variants(figure, told)
    if figure.unscored:
        overrides = (*told.overrides, "evaluation=none")
        told = replace(told, overrides=overrides, unscored=True)
    results = measure(plan_spots(figure.curves, told), report, stock)
    extra: dict[str, Any] = {}
    if figure.kind in PROBES:
        extra = PROBES[figure.kind](figure, told, stock)
    if figure.prediction is not None:
        extra = _estimates(figure, told, stock, results)
    if figure.timing is not None:
        extra |= _timing(figure, told, stock)
    return FigureData(figure, results, extra)


def folder_of(figure: Figure, told: Reproduction) -> Path:
    """Where a figure keeps what has no run directory."""
    return Path(told.root) / "paper" / f"{figure.name}-{told.scale.name}"


def _kept(
    figure: Figure, told: Reproduction, key: dict[str, Any], measured: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What an earlier command measured under the same key, or what is measured now.

    Every rank calls it alike. A measurement of more images stays; that of fewer goes below it.
    """
    part = figure.probe or figure.prediction
    count = 0 if part is None else part.images
    path = distributed.on_main(lambda: _place(folder_of(figure, told), count, told))
    found = distributed.on_main(lambda: _read(path, key))
    if found is not None:
        return found
    found = measured()

    def write() -> None:
        with writing(path.parent, "root"):
            path.parent.mkdir(parents=True, exist_ok=True)
            content = {"key": key, "images": count, "measured": found}
            write_text(path, json.dumps(content, indent=1) + "\n")

    distributed.on_main(write)
    return found


def _place(folder: Path, count: int, told: Reproduction) -> Path:
    """measured.json of a folder, or of one below it where that is of more images than `count`."""
    path = folder / MEASURED
    try:
        # One that does not say it is taken for that of the figure's own number of images.
        held = json.loads(path.read_text()).get("images", count + (told.images is not None))
    except (OSError, ValueError, AttributeError):
        return path
    return first_folder(folder, count) / MEASURED if count and held > count else path


def _read(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
        return content["measured"] if content["key"] == json.loads(json.dumps(key)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _own(figure: Figure) -> dict[str, Any]:
    """What the figure says of its probe, prediction and timing."""
    parts = {"probe": figure.probe or figure.prediction, "timing": figure.timing}
    return {name: asdict(part) for name, part in parts.items() if part is not None}


def _key(experiment: Experiment, figure: Figure, resources: Resources) -> dict[str, Any]:
    """What decides a measurement: weights, sampler, engine, machine, and the figure's own part."""
    decides = distributed.on_main(lambda: resources.decides(experiment))
    return {
        "run": fingerprint(decides),
        "own": _own(figure),
        "machine": [device_name(resources.engine.device), available_cores(), versions()["torch"]],
    }


def _probe(
    models: tuple[str, ...], look: Callable[[Probe], dict[str, Any]]
) -> Callable[[Figure, Reproduction, Stock], dict[str, Any]]:
    def run(figure: Figure, told: Reproduction, stock: Stock) -> dict[str, Any]:
        spot = probe_spot(figure.probe, told, models)
        resources = stock.of(spot.experiment)

        def measured() -> dict[str, Any]:
            return on_rank_0(look, Probe(spot, resources))

        return _kept(figure, told, _key(spot.experiment, figure, resources), measured)

    return run


def _footprint(figure: Figure, told: Reproduction, stock: Stock) -> dict[str, Any]:
    images = figure.probe.images
    experiment = probe_spot(figure.probe, told, ("small", "large")).experiment
    # One batch, as large as asked for, whatever the runs of other figures have.
    config = experiment.config | {"run": experiment.config["run"] | {"batch_size": images}}
    run = replace(experiment.run, batch_size=images)
    alone = replace(experiment, config=config, run=run)
    resources = stock.of(experiment)  # fetches the weights

    def measured() -> dict[str, Any]:
        stock.release()
        return distributed.on_main(lambda: {"rows": measure_footprint(alone)})

    key = _key(experiment, figure, resources) | {"repeats": REPEATS}
    return _kept(figure, told, key, measured)


PROBES = {
    "similarity": _probe(ROLES, measure_similarity),
    "spectrum": _probe(("small", "large"), measure_spectrum),
    "footprint": _footprint,
}


def _timing(figure: Figure, told: Reproduction, stock: Stock) -> dict[str, Any]:
    spots = plan_spots(figure.curves[:1], told, whole=True)
    spots = [s for s in spots if s.kind == "fraction"]
    first = spots[0]  # of several rows the first is timed
    spots = [s for s in spots if (s.row, s.variant) == (first.row, first.variant)]
    experiment, folder = spots[0].experiment, folder_of(figure, told)
    fractions, resources = [spot.fraction for spot in spots], stock.of(experiment)
    key = _key(experiment, figure, resources) | {"fractions": fractions}

    def measured() -> dict[str, Any]:
        stock.release()  # its processes need the memory

        def work() -> dict[str, Any]:
            with writing(folder, "root"):
                folder.mkdir(parents=True, exist_ok=True)
            found = time_fractions(experiment, fractions, figure.timing, folder)
            return {"timing": found | {"cores": available_cores()}}

        return distributed.on_main(work)

    return _kept(figure, told, key, measured)


def _estimates(
    figure: Figure, told: Reproduction, stock: Stock, results: list[Result]
) -> dict[str, Any]:
    """Of every curve: predictions compared along its trajectory, and the first images changed."""
    spots = [
        probe_spot(
            ProbeSettings(c.sampler, c.steps[0], c.guidance[0], figure.prediction.images),
            told,
            c.models,
        )
        for c in figure.curves
    ]
    keys = [_key(spot.experiment, figure, stock.of(spot.experiment)) for spot in spots]

    def measured() -> dict[str, Any]:
        courses = []
        for spot in spots:
            probe = Probe(spot, stock.of(spot.experiment))
            courses.append(on_rank_0(measure_similarity, probe))
        return {"courses": courses}

    similar = _kept(figure, told, {"curves": keys}, measured)["courses"]
    if not distributed.is_main():
        return {}
    return estimate_curves(results, similar, figure.prediction)
