"""What the numbers of a benchmark come to."""

import statistics
from collections.abc import Sequence
from typing import Any

from tstitch.benchmark.measure import Measured
from tstitch.maker.protocol import Experiment


def summarise(
    results: Sequence[Measured], experiments: dict[float, Experiment], flops: dict[str, int]
) -> list[dict[str, Any]]:
    """One plain JSON object per case; medians with the smallest and largest of the rounds.

    Args:
        results: of cases that are measured in turns, the plain ones first; in the middle of a
            round some have one more than others, and what compares two takes the rounds of both.
        experiments: by fraction.
        flops: of one evaluation of one latent, by denoiser.
    """
    own = [result for result in results if not result.case.is_peer]
    return [_case(result, _plain(results, result), experiments, flops) for result in own]


def summarise_peers(results: Sequence[Measured]) -> list[dict[str, Any]]:
    """The same of diffusers' rows, which have one fraction: 0."""
    rows = []
    for result in (result for result in results if result.case.is_peer):
        own = _beginning(result) | {"images_per_second": spread(result.rates[0.0])}
        rows.append(own | {"speedup_over_plain": _over_plain(result, _plain(results, result))})
    return rows


def _plain(results: Sequence[Measured], result: Measured) -> Measured:
    return next(other for other in results if result.case.compares_with(other.case))


def _beginning(result: Measured) -> dict[str, Any]:
    """What all kinds of cases have."""
    case = result.case
    return {
        "name": case.name,
        "engine": case.engine,
        "dtype": case.dtype,
        "batch_size": case.batch_size,
        "processes": case.processes,
        "rounds": len(result.rates[0.0]),
        "options": result.setup["engine"],
        "threads_per_process": result.setup["threads"],
        "prepare_seconds": result.setup["seconds"],
        "peak_bytes": result.peak_bytes,
    }


def _over_plain(result: Measured, plain: Measured) -> dict[str, float]:
    pairs = zip(result.rates[0.0], plain.rates[0.0], strict=False)
    return spread([own / other for own, other in pairs])


def _case(
    result: Measured, plain: Measured, experiments: dict[float, Experiment], flops: dict[str, int]
) -> dict[str, Any]:
    case, base = result.case, experiments[0.0]
    return _beginning(result) | {
        "matmul_flops_per_second": spread(result.matmul),
        "denoisers": {
            name: _denoiser(result, name, case.batch_size * _flops_in_step(base, name, flops))
            for name in result.steps[0]
        },
        "fractions": [_fraction(result, f, experiments[f]) for f in sorted(result.rates)],
        "speedup_over_plain": _over_plain(result, plain),
        "seconds_per_image": _medians(result.stages),
        "seconds_per_image_beside": _medians(result.beside),
        "not_denoising": spread([_rest(stages) for stages in result.stages]),
        "latent_deviation": result.deviation,
    }


def _flops_in_step(experiment: Experiment, name: str, flops: dict[str, int]) -> int:
    evaluations = experiment.evaluations_in_step(name)
    return sum(count * flops[evaluated] for evaluated, count in evaluations.items())


def _denoiser(result: Measured, name: str, flops: int) -> dict[str, Any]:
    """Time per step of a batch, and its rate as a share of the products' in the same round."""
    seconds = [step[name] for step in result.steps]
    shares = [flops / time / rate for time, rate in zip(seconds, result.matmul, strict=True)]
    return {"seconds_per_step": spread(seconds), "share_of_matmul_peak": spread(shares)}


def _medians(stages: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(stage[name] for stage in stages) for name in stages[0]}


def _fraction(result: Measured, fraction: float, experiment: Experiment) -> dict[str, Any]:
    """Measured and ideal speed-up over fraction 0; ideal = from the denoisers' step times."""
    largest = list(experiment.denoisers)[-1]
    ideals = [
        len(experiment.schedule)
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
