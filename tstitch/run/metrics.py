"""metrics.json: numbers with their protocol."""

from collections.abc import Mapping
from typing import Any

from evaluation.cost.machine import versions
from evaluation.cost.timing import seconds_per_image
from tstitch.engine.settings import Engine
from tstitch.maker.identity import fingerprint
from tstitch.maker.protocol import Experiment, Weights
from tstitch.maker.provenance import agreed, grouped


def collect_metrics(
    experiment: Experiment,
    engine: Engine,
    identity: dict[str, Any],
    weights: Mapping[str, Weights],
    times: list[dict[str, Any]],
) -> dict[str, Any]:
    """Protocol, arithmetic and times of a finished run.

    Args:
        times: what each shard says of its batch.
    """
    run = experiment.run
    groups = grouped(times)
    return {
        "fingerprint": fingerprint(identity),
        "protocol": {
            "pair": experiment.name,
            "num_images": run.num_images,
            "classes": experiment.config["run"]["classes"],
            **({"prompts": len(experiment.conditions)} if experiment.has_prompts else {}),
            "seed": run.seed,
            **experiment.protocol(),
            "dtype": engine.precision,
            "engine": engine.describe(),
            "batch_size": run.batch_size,
            # Of the commands that sampled, not of the one that finishes.
            "processes": agreed(groups, "processes"),
            "threads_per_process": agreed(groups, "threads"),
            "devices": sorted({t["device"] for t in times}),
        },
        "nfe_per_image": experiment.nfe,
        **_arithmetic(experiment, weights),
        "seconds_per_image": _seconds(times),
        "timed_in": groups,
        "versions": versions(),
    }


def _arithmetic(experiment: Experiment, weights: Mapping[str, Weights]) -> dict[str, Any]:
    """Steps, parameters and FLOPs per denoiser; FLOPs per image against all-large."""
    costs = experiment.costs()
    denoisers: dict[str, Any] = {
        name: {
            "steps": experiment.steps_per_denoiser[name],
            "evaluations_per_image": experiment.evaluations_per_image[name],
            "parameters": cost.parameters,
            "flops_per_evaluation": cost.flops,
            "gmacs_per_evaluation": cost.flops / 2e9,
            "weights_sha256": weights[name].sha256,
            "weights_entry": weights[name].entry,
        }
        for name, cost in costs.items()
    }
    total = sum(d["evaluations_per_image"] * d["flops_per_evaluation"] for d in denoisers.values())
    largest = list(costs)[-1]
    evaluations = len(experiment.schedule) * experiment.denoisers[largest]
    return {
        "denoisers": denoisers,
        "flops_per_image": total,
        "gmacs_per_image": total / 2e9,
        "flops_ratio_to_all_large": total / (evaluations * costs[largest].flops),
    }


def _seconds(times: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Medians per image and stage, and the slowest process's preparation of each denoiser.

    None if no shard was timed: images unpacked from samples.npz have no times.
    """
    batches = [entry for entry in times if entry["seconds"]]
    if not batches:
        return None
    prepared: dict[str, float] = {}
    for entry in batches:
        for name, seconds in entry["prepared"].items():
            prepared[name] = max(seconds, prepared.get(name, 0.0))
    return seconds_per_image(batches) | {"prepared": prepared}
