"""`stitch=search`: the schedule whose images change least, from those of others onwards."""

import logging
import time
from typing import Any

from evaluation.report.panels import Line, Panel
from samplers.stitch import Search, least
from tstitch.maker.protocol import SteppedMaker, TracedMaker
from tstitch.schedules.budget import measure_steps, too_fast
from tstitch.schedules.calibration import traced
from tstitch.schedules.criterion import Criterion
from tstitch.schedules.evolution import Evolution, Schedule
from tstitch.schedules.resolver import Resolver
from tstitch.schedules.topk import disagreement_panel, measure_disagreement

COMPARED = ("eps", "x0", "velocity")
FIRST, LAST = "first", "last"
log = logging.getLogger(__name__)


class SearchResolver(Resolver[Search]):
    """Judges schedules by the change of x_0 against the large denoiser alone, at equal noise."""

    def resolve(self, maker: SteppedMaker, schedule: Search) -> dict[str, Any]:
        traceable, count = traced(maker, "stitch=search"), len(maker.experiment.step_evaluations)
        small = schedule.steps
        if small is None:
            small = _small_steps(maker, schedule.speedup or 1.0)
        curves = {kind: _curve(traceable, schedule, kind) for kind in COMPARED}
        seeds = starting_points(curves, small, schedule.population)
        criterion = Criterion(traceable, schedule.inputs, schedule.seed)
        most = max(len(seeds), schedule.population) + schedule.population * schedule.generations
        log.info(
            "search: %d of %d steps small; up to %d schedules of %d images each: %d image steps",
            *(small, count, most, schedule.inputs, most * schedule.inputs * count),
        )
        started = time.perf_counter()
        search = Evolution(criterion, list(seeds.values()), schedule.population, schedule.seed)
        course = [search.known[search.best]]
        for number, value in enumerate(search.generations(schedule.generations), 1):
            course.append(value)
            seconds = time.perf_counter() - started
            log.info(
                "search: generation %d of %d, change %.4g, %d schedules, %.0f s",
                *(number, schedule.generations, value, len(search.known), seconds),
            )
        own = traceable.own_prediction
        return {
            "models": list(search.best),
            "change": course[-1],
            "inputs": schedule.inputs,
            "judged": len(search.known),
            "image_steps": criterion.image_steps,
            "generations": course,
            "seeds": {
                name: {"models": list(models), "change": search.known[models]}
                for name, models in seeds.items()
            },
            "compare": own,
            "disagreement": curves.get(own) or _curve(traceable, schedule, own),
        }

    def describe(self, found: dict[str, Any]) -> str:
        models, seeds = found["models"], found["seeds"]
        best = min(seeds, key=lambda name: seeds[name]["change"])
        kept = dict.fromkeys((FIRST, LAST, best))
        shown = ", ".join(f"{name} {seeds[name]['change']:.4g}" for name in kept)
        return (
            f"{models.count(0)} of {len(models)} steps small, x_0 changes by {found['change']:.4g} "
            f"({shown}) on {found['inputs']} inputs, of {found['judged']} schedules"
        )

    def panels(self, found: dict[str, Any]) -> list[Panel]:
        course = found["generations"]
        ends = [0, max(len(course) - 1, 1)]
        lines = [Line("best so far", list(range(len(course))), course)]
        for name in (FIRST, f"topk of {found['compare']}"):
            if name in found["seeds"]:
                change = found["seeds"][name]["change"]
                lines.append(Line(name, ends, [change] * 2, published=True, like=name))
        return [
            disagreement_panel(found["disagreement"], found["models"], found["compare"]),
            Panel("Change of x_0", "generation", "RMS against large alone", lines),
        ]


def starting_points(
    curves: dict[str, list[float]], small: int, windows: int
) -> dict[str, Schedule]:
    """Schedules by name: the first steps small, the last, windows between, those of topk.

    Args:
        curves: disagreement at each step, by what is compared.
        small: number of small steps.
        windows: at most so many of them, the first and the last included.
    """
    count = len(next(iter(curves.values())))
    starts = range(count - small + 1)
    kept = sorted({round(k * starts[-1] / max(windows - 1, 1)) for k in range(windows)})
    seeds: dict[str, Schedule] = {}
    for start in kept:
        name = FIRST if start == 0 else LAST if start == starts[-1] else f"window from {start}"
        seeds[name] = (1,) * start + (0,) * small + (1,) * (count - small - start)
    seeds.setdefault(LAST, seeds[FIRST])  # where every step is small there is but one
    for kind, curve in curves.items():
        seeds[f"topk of {kind}"] = least(curve, small)
    return seeds


def _curve(maker: TracedMaker, schedule: Search, compare: str) -> list[float]:
    apart = measure_disagreement(maker, compare, schedule.inputs, schedule.seed)
    curve: list[float] = apart.mean(1).tolist()
    return curve


def _small_steps(maker: SteppedMaker, speedup: float) -> int:
    """The fewest small steps, whichever they are, that make trajectories so much faster."""
    evaluations = maker.experiment.step_evaluations
    fast, slow = measure_steps(maker)
    whole = sum(evaluations) * slow
    most, saved = whole / (sum(evaluations) * fast), 0.0
    for small, count in enumerate([0, *sorted(evaluations)]):
        saved += count * (slow - fast)
        if speedup * (whole - saved) <= (1 + 1e-9) * whole:
            return small
    raise too_fast(speedup, most)
