"""Under which conditions times were taken: every shard keeps its own, reports tell them."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from evaluation.cost.machine import device_name
from evaluation.cost.timing import without_warmup
from tstitch.engine.settings import Engine
from tstitch.files.record import Record
from tstitch.runtime import distributed

UNKNOWN = "unknown"
# Times are compared only where all of these agree; of older shards some are not known.
DECIDE = ("processes", "threads", "device", "engine", "batch_size")


class Conditions(Record):
    """What some batches were timed under, all alike; UNKNOWN where an older shard does not say."""

    processes: int | str
    threads: int | str  # of each process
    device: str
    engine: str
    batch_size: int | str
    batches: int | None = None  # how many
    images: int | None = None  # in them
    load: tuple[float, float] | None  # least and most; None if unknown


def conditions(engine: Engine, batch_size: int) -> dict[str, Any]:
    """What this process computes under now.

    Returns:
        the keys of DECIDE, and load: processes that want a core of this machine, the mean of the
        last minute; None where the system does not tell.
    """
    return {
        "processes": distributed.world_size(),
        "threads": torch.get_num_threads(),
        "device": device_name(engine.device),
        "engine": engine_text(engine),
        "batch_size": batch_size,
        "load": host_load(),
    }


def engine_text(engine: Engine) -> str:
    """`bf16, compile, cuda_graphs`, or `fp32, plain`."""
    return f"{engine.precision}, {options_text(engine.describe())}"


def options_text(options: Mapping[str, Any]) -> str:
    """The options of an engine that are in use, by name."""
    return ", ".join(name for name, used in options.items() if used) or "plain"


def milliseconds(stages: Mapping[str, float]) -> str:
    """`noise 0.12, write 0.34` of seconds by stage."""
    return ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in stages.items())


def host_load() -> float | None:
    """Load of the machine over the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def grouped(times: Sequence[dict[str, Any]]) -> list[Conditions]:
    """The different conditions of the batches whose times count, in order of appearance.

    Args:
        times: what each shard says of its batch.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in without_warmup(times):
        key = tuple(entry.get(name, UNKNOWN) for name in DECIDE)
        groups.setdefault(key, []).append(entry)
    described = []
    for key, batches in groups.items():
        loads = [b["load"] for b in batches if b.get("load") is not None]
        described.append(
            Conditions(
                **dict(zip(DECIDE, key, strict=True)),
                batches=len(batches),
                images=sum(b["images"] for b in batches),
                load=(min(loads), max(loads)) if loads else None,
            )
        )
    return described


def agreed(groups: Sequence[Conditions], name: str) -> Any:
    """The value of a condition where all groups have the same, else `1 and 2`."""
    values = list(dict.fromkeys(getattr(group, name) for group in groups))
    if len(values) == 1:
        return values[0]
    return " and ".join(map(str, values)) or UNKNOWN


def describe(group: Conditions) -> str:
    """`2 processes of 1 CPU thread, fp32, plain, batches of 16, on a CPU`."""
    if group.processes == UNKNOWN:
        device = "" if group.device == UNKNOWN else f" on {group.device}"
        return f"unknown processes and threads{device}"
    processes, threads = group.processes, group.threads
    return (
        f"{processes} process{'es' * (processes != 1)} of {threads} CPU thread"
        f"{'s' * (threads != 1)}, {group.engine}, batches of {group.batch_size}, on {group.device}"
    )


def load_text(group: Conditions) -> str:
    """`load 1.2 to 3.4`; empty if unknown."""
    if group.load is None:
        return ""
    least, most = group.load
    return f"load {least:g}" if least == most else f"load {least:g} to {most:g}"
