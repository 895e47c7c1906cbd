"""metrics.json: numbers with their protocol."""

from typing import Any

from evaluation.cost.machine import versions
from evaluation.cost.timing import seconds_per_image
from tstitch.engine.settings import Engine
from tstitch.pair.network_cost import network_costs
from tstitch.sampling.experiment import Experiment
from tstitch.sampling.identity import fingerprint
from tstitch.sampling.provenance import agreed, grouped


def collect_metrics(
    experiment: Experiment,
    engine: Engine,
    identity: dict[str, Any],
    entries: dict[str, str | None],
    times: list[dict[str, Any]],
) -> dict[str, Any]:
    """Protocol, arithmetic and times of a finished run.

    Args:
        entries: of the denoisers' files, which hold their weights; None = all of it.
        times: what each shard says of its batch.
    """
    run, config = experiment.run, experiment.config
    groups = grouped(times)
    return {
        "fingerprint": fingerprint(identity),
        "protocol": {
            "pair": experiment.pair.name,
            "num_images": run.num_images,
            "classes": config["run"]["classes"],
            "seed": run.seed,
            "sampler": {**config["sampler"], "steps": experiment.sampler.steps},
            "stitch": config["stitch"],
            "guidance": experiment.guidance.describe(),
            "dtype": engine.precision,
            "engine": engine.describe(),
            "batch_size": run.batch_size,
            # Of the commands that sampled, not of the one that finishes.
            "processes": agreed(groups, "processes"),
            "threads_per_process": agreed(groups, "threads"),
            "devices": sorted({t["device"] for t in times}),
        },
        "nfe_per_image": experiment.nfe,
        **_arithmetic(experiment, identity["weights"], entries),
        "seconds_per_image": _seconds(times),
        "timed_in": groups,
        "versions": versions(),
    }


def _arithmetic(
    experiment: Experiment, weights: dict[str, str], entries: dict[str, str | None]
) -> dict[str, Any]:
    """Steps, parameters and FLOPs per denoiser; FLOPs per image against all-large."""
    pair, counts = experiment.pair, experiment.steps_per_denoiser
    denoisers: dict[str, Any] = {}
    for name, size in network_costs(pair).items():
        denoisers[name] = {
            "steps": counts[name],
            "evaluations_per_image": experiment.evaluations_per_image[name],
            "parameters": size.parameters,
            "flops_per_evaluation": size.flops,
            "gmacs_per_evaluation": size.flops / 2e9,
            "weights_sha256": weights[name],
            "weights_entry": entries[name],
        }
    total = sum(d["evaluations_per_image"] * d["flops_per_evaluation"] for d in denoisers.values())
    last = pair.denoisers[-1].name
    evaluations = experiment.sampler.steps * experiment.guidance.evaluations(last)
    all_large = evaluations * denoisers[last]["flops_per_evaluation"]
    return {
        "denoisers": denoisers,
        "flops_per_image": total,
        "gmacs_per_image": total / 2e9,
        "flops_ratio_to_all_large": total / all_large,
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
