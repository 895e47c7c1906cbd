"""What the numbers of a benchmark come to."""

import statistics
from collections.abc import Sequence
from typing import Any

from tstitch.benchmark.measure import Measured
from tstitch.experiment import Experiment


def summarise(
    results: Sequence[Measured],
    experiments: dict[float, Experiment],
    flops: dict[str, int],
) -> list[dict[str, Any]]:
    """One plain JSON object per case; medians with the smallest and largest of the rounds.

    Args:
        results: of cases that were measured in turns, the plain ones first.
        experiments: by fraction.
        flops: of one evaluation of one latent, by denoiser.
    """
    plain = {r.case.processes: r for r in results if r.case.engine == "plain"}
    return [_case(r, plain[r.case.processes], experiments, flops) for r in results]


def _case(
    result: Measured,
    plain: Measured,
    experiments: dict[float, Experiment],
    flops: dict[str, int],
) -> dict[str, Any]:
    case, base = result.case, experiments[0.0]
    per_step = base.nfe // base.sampler.steps
    speedup = [own / other for own, other in zip(result.rates[0.0], plain.rates[0.0], strict=True)]
    return {
        "name": case.name,
        "engine": case.engine,
        "dtype": case.dtype,
        "batch_size": case.batch_size,
        "processes": case.processes,
        "options": result.setup["engine"],
        "threads_per_process": result.setup["threads"],
        "prepare_seconds": result.setup["seconds"],
        "matmul_flops_per_second": spread(result.matmul),
        "denoisers": {
            name: _denoiser(result, name, case.batch_size * per_step * flops[name])
            for name in result.steps[0]
        },
        "fractions": [_fraction(result, f, e) for f, e in experiments.items()],
        "speedup_over_plain": spread(speedup),
        "seconds_per_image": _medians(result.stages),
        "seconds_per_image_beside": _medians(result.beside),
        "not_denoising": spread([_rest(stages) for stages in result.stages]),
        "peak_bytes": result.peak_bytes,
        "latent_deviation": result.deviation,
    }


def _denoiser(result: Measured, name: str, flops: int) -> dict[str, Any]:
    """Time per step of a batch, and its rate as a share of the products' in the same round."""
    seconds = [step[name] for step in result.steps]
    shares = [flops / time / rate for time, rate in zip(seconds, result.matmul, strict=True)]
    return {"seconds_per_step": spread(seconds), "share_of_matmul_peak": spread(shares)}


def _medians(stages: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(stage[name] for stage in stages) for name in stages[0]}


def _fraction(result: Measured, fraction: float, experiment: Experiment) -> dict[str, Any]:
    """Measured and ideal speed-up over fraction 0; ideal = from the denoisers' step times."""
    largest = experiment.pair.denoisers[-1].name
    ideals = [
        experiment.sampler.steps
        * step[largest]
        / sum(count * step[name] for name, count in experiment.steps_per_denoiser.items())
        for step in result.steps
    ]
    rates = result.rates[fraction]
    measured = [own / other for own, other in zip(rates, result.rates[0.0], strict=True)]
    shares = [own / ideal for own, ideal in zip(measured, ideals, strict=True)]
    return {
        "fraction": fraction,
        "steps": experiment.steps_per_denoiser,
        "images_per_second": spread(rates),
        "speedup": spread(measured),
        "ideal_speedup": spread(ideals),
        "share_of_ideal": spread(shares),
    }


def _rest(stages: dict[str, float]) -> float:
    """The share of the time in which no denoiser runs."""
    whole = sum(stages.values())
    denoisers = sum(value for name, value in stages.items() if name.startswith("denoise/"))
    return 1 - denoisers / whole


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
