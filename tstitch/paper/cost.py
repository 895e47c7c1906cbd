"""What a figure costs: for the dry run, from the plan alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tstitch.experiment import Experiment
from tstitch.paper.plan import Spot
from tstitch.sizes import NetworkSize, network_sizes


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums over all points, every different run counted once."""

    points: int
    runs: int
    images: int
    evaluations: int  # of networks
    flops: float


def count_cost(spots: Sequence[Spot]) -> Cost:
    """Arithmetic of the points; nothing of it is looked for on the disk."""
    runs: dict[str, tuple[Experiment, int]] = {}
    for spot in spots:
        key = _identity(spot.experiment)
        images = max(spot.images, runs[key][1] if key in runs else 0)
        runs[key] = (spot.experiment, images)
    known: dict[str, dict[str, NetworkSize]] = {}
    evaluations, flops = 0, 0.0
    for experiment, images in runs.values():
        networks = _networks(experiment)
        if networks not in known:
            known[networks] = network_sizes(experiment.pair)
        per_step = experiment.nfe // experiment.sampler.steps
        for name, size in known[networks].items():
            count = images * per_step * experiment.steps_per_denoiser[name]
            evaluations += count
            flops += count * size.flops
    images = sum(count for _, count in runs.values())
    return Cost(len(spots), len(runs), images, evaluations, flops)


def describe_cost(cost: Cost, throughput: float | None) -> list[str]:
    """Lines for a reader.

    Args:
        throughput: FLOP/s of all devices together.
    """
    lines = [
        f"{cost.points} points, {cost.runs} runs, {cost.images:,} images",
        f"{cost.evaluations:,} network evaluations (NFE), {cost.flops / 1e15:,.2f} PFLOPs "
        f"({cost.flops / 2e15:,.2f} P multiply-adds)",
    ]
    if throughput is None:
        lines.append("hours: give throughput=TFLOP/s of all devices, or throughput=benchmark.json")
    else:
        hours = cost.flops / throughput / 3600
        shown = f"{hours:,.2f} hours" if hours >= 1 else f"{60 * hours:,.1f} minutes"
        lines.append(
            f"{shown} at {throughput / 1e12:g} TFLOP/s (denoisers alone; no decoding, no metrics)"
        )
    return lines


def _networks(experiment: Experiment) -> str:
    pair = experiment.pair
    return repr(([(spec.name, spec.network) for spec in pair.denoisers], pair.space.shape))


def _identity(experiment: Experiment) -> str:
    weights: dict[str, Any] = {s.name: s.weights for s in experiment.pair.denoisers}
    parts = (
        _networks(experiment), weights, experiment.config["sampler"], experiment.guidance,
        [step.model for step in experiment.sampler.plan],
    )  # fmt: skip
    return repr(parts)
