"""`stitch=budget`: step times are measured, then a time is spent."""

from collections import Counter
from statistics import median
from typing import Any

from evaluation.cost.machine import device_name
from samplers.stitch import Budget, spend
from tstitch.maker.batches import draw_unit
from tstitch.maker.protocol import SteppedMaker
from tstitch.maker.step_time import time_step
from tstitch.maker.units import Unit
from tstitch.runtime.errors import UserError
from tstitch.schedules.resolver import Resolver

ROUNDS, LEAST_S = 5, 0.05


class BudgetResolver(Resolver[Budget]):
    """As many steps of the large denoisers as the time allows."""

    def resolve(self, maker: SteppedMaker, schedule: Budget) -> dict[str, Any]:
        return _found(maker, schedule)

    def describe(self, found: dict[str, Any]) -> str:
        steps = ", ".join(f"{name} {count}" for name, count in found["steps"].items())
        return f"{steps} steps, {found['ms_per_image']:.4g} ms / image, {found['speedup']:.3g}x"


def measure_steps(maker: SteppedMaker) -> list[float]:
    """Seconds per image of one guided step of each denoiser, medians of interleaved rounds."""
    size = maker.experiment.run.batch_size
    batch, _ = draw_unit(maker, Unit(0, size))
    models = range(len(maker.experiment.denoisers))
    found: list[list[float]] = [[] for _ in models]
    for _ in range(ROUNDS):
        for model in models:
            found[model].append(time_step(maker, model, batch, LEAST_S) / size)
    return [median(seconds) for seconds in found]


def _found(maker: SteppedMaker, budget: Budget) -> dict[str, Any]:
    seconds = measure_steps(maker)
    evaluations = maker.experiment.step_evaluations
    names, total = list(maker.experiment.denoisers), sum(evaluations)
    whole = total * seconds[-1]
    limit = whole / budget.speedup if budget.speedup else (budget.ms_per_image or 0.0) / 1e3
    try:
        models = spend(seconds, evaluations, limit)
    except ValueError as error:
        least = total * min(seconds)
        if budget.speedup is None:
            raise UserError(
                f"stitch.ms_per_image={budget.ms_per_image:g}: the fastest denoiser alone takes "
                f"{1e3 * least:.3g}; choose more, or fewer sampler.steps"
            ) from error
        raise too_fast(budget.speedup, whole / least) from error
    steps = Counter[int]()
    for model, count in zip(models, evaluations, strict=True):
        steps[model] += count
    taken = sum(count * seconds[model] for model, count in steps.items())
    return {
        "models": list(models),
        "steps": {name: steps[k] for k, name in enumerate(names)},
        "step_ms_per_image": {n: 1e3 * s for n, s in zip(names, seconds, strict=True)},
        "ms_per_image": 1e3 * taken,
        "speedup": whole / taken,
        "batch_size": maker.experiment.run.batch_size,
        "device": device_name(maker.engine.device),
    }


def too_fast(speedup: float, most: float) -> UserError:
    """The error for a speed-up that no schedule reaches; the caller raises it."""
    return UserError(
        f"stitch.speedup={speedup:g}: the fastest denoiser alone gives {most:.3g}; choose at most "
        "that"
    )
