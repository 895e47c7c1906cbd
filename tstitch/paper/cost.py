"""What a figure costs: for the dry run, from the plan alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.cost.flops import NetworkCost
from tstitch.maker.protocol import Experiment
from tstitch.paper.figure.plan import CurvePoint
from tstitch.paper.figure.throughput import Throughput, identity


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums over all points, every different run counted once."""

    points: int
    runs: int
    images: int
    evaluations: int  # of networks
    flops: float
    # Of the pairs' networks (`throughput.identity`): name of a pair, and its FLOPs.
    shares: dict[tuple[float, ...], tuple[str, float]]


def count_cost(points: Sequence[CurvePoint]) -> Cost:
    """Arithmetic of the points; nothing of it is looked for on the disk."""
    runs: dict[str, tuple[Experiment, int]] = {}
    for point in points:
        key = _identity(point.experiment)
        images = max(point.images, runs[key][1] if key in runs else 0)
        runs[key] = (point.experiment, images)
    known: dict[str, dict[str, NetworkCost]] = {}
    evaluations, shares = 0, dict[tuple[float, ...], tuple[str, float]]()
    for experiment, images in runs.values():
        networks = _networks(experiment)
        if networks not in known:
            known[networks] = experiment.costs()
        kind = identity([size.flops for size in known[networks].values()])
        pair, flops = shares.get(kind, (experiment.name, 0.0))
        for name, size in known[networks].items():
            count = images * experiment.evaluations_per_image[name]
            evaluations += count
            flops += count * size.flops
        shares[kind] = (pair, flops)
    images = sum(count for _, count in runs.values())
    flops = sum(flops for _, flops in shares.values())
    return Cost(len(points), len(runs), images, evaluations, flops, shares)


def describe_cost(cost: Cost, throughput: Throughput | None) -> list[str]:
    """Lines for a reader; hours only of networks that the rate was measured of."""
    lines = [
        f"{cost.points} points, {cost.runs} runs, {cost.images:,} images",
        f"{cost.evaluations:,} network evaluations (NFE), {cost.flops / 1e15:,.2f} PFLOPs "
        f"({cost.flops / 2e15:,.2f} P multiply-adds)",
    ]
    if throughput is None:
        lines.append("hours: give throughput=TFLOP/s of all devices, or throughput=benchmark.json")
        return lines
    timed = [kind for kind in cost.shares if throughput.is_of(kind)]
    others = [kind for kind in cost.shares if kind not in timed]
    if timed:
        flops = sum(cost.shares[kind][1] for kind in timed)
        hours = flops / throughput.flops_per_second / 3600
        shown = f"{hours:,.2f} hours" if hours >= 1 else f"{60 * hours:,.1f} minutes"
        part = (
            f" for {', '.join(cost.shares[kind][0] for kind in _widest(timed))}" if others else ""
        )
        lines.append(
            f"{shown}{part} at {throughput.text()} (denoisers alone; no decoding, no metrics)"
        )
    if others:
        lines.append(_missing({k: cost.shares[k][0] for k in _widest(others)}, throughput))
    return lines


def _widest(kinds: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Those whose networks are not all among another's: a model alone needs no name of its own."""
    return [kind for kind in kinds if not any(set(kind) < set(other) for other in kinds)]


def _missing(others: dict[tuple[float, ...], str], throughput: Throughput) -> str:
    """What to run for the hours of networks, with their pair's name, that it was not made of."""
    pairs = [name for kind, name in others.items() if len(kind) == 2]
    remedies = [f"python scripts/benchmark.py pair={name}" for name in pairs]
    run = f"run {' and '.join(remedies)} where it is to be made, or " if remedies else ""
    return (
        f"no hours for {', '.join(others.values())}: throughput={throughput.source} is of other "
        f"networks ({throughput.about}, on {throughput.device}); {run}give throughput=TFLOP/s"
    )


def _networks(experiment: Experiment) -> str:
    pair: dict[str, Any] = experiment.config["pair"]
    sections = (pair.get(key, {}) for key in ("denoisers", "networks"))
    networks = {name: one.get("network", one) for part in sections for name, one in part.items()}
    return repr((networks, experiment.image_shape))


def _identity(experiment: Experiment) -> str:
    config = experiment.config
    method = experiment.protocol()["guidance"]
    return repr((config["pair"], config["sampler"], method, experiment.schedule))
