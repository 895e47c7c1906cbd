"""Arithmetic of runs that workers share: what a number of GPUs takes, what it costs, and why.

Plain sums of seconds. Assumed, and said in docs/cluster.md: GPUs are alike and begin together; what
a file system does besides moving images it does for one worker after the other; images are moved
for each worker at the measured pace, however many move some.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

# As in tstitch.run.worker: how long a worker without work waits, and at how many it looks then.
POLL_S, LONGEST_POLL_S, OTHERS = 1.0, 10.0, 2
LISTS = 1.5  # a look that finds nothing lists the shards twice and the claims once


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of what is no sampling; the fields are described in configs/simulate.yaml."""

    start: float
    locked: float
    look: float
    claim: float
    refused: float
    shard: float
    scan: float
    pack: float
    write: float

    def as_dict(self) -> dict[str, float]:
        """By name, in the order of the fields."""
        return asdict(self)

    def on_slower_files(self, times: float) -> "Costs":
        """What is done with files, whatever their size, takes so many times as long."""
        names = ("locked", "look", "claim", "refused", "shard")
        return replace(self, **{name: times * getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and what it takes.

    Attributes:
        seconds_per_image: on one GPU.
        image_bytes: of one image.
        prepare: seconds of each process besides its start.
        evaluate: seconds per image of the one that finishes.
    """

    images: int
    batch_size: int
    seconds_per_image: float
    image_bytes: int
    prepare: float
    evaluate: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the wall, the GPU-seconds paid for, and the seconds of each part."""

    wall: float
    gpu: float
    parts: dict[str, float]


def simulate_run(run: Run, gpus: int, costs: Costs) -> Spent:
    """One run shared by one worker per GPU; the last one finishes and evaluates it."""
    units = math.ceil(run.images / run.batch_size)
    size = run.images * run.image_bytes
    batch = run.batch_size * max(run.seconds_per_image, run.image_bytes * costs.write)
    own = units * costs.look + costs.claim  # before a batch
    rounds = math.ceil(units / gpus)
    begin, queue = costs.start + run.prepare, gpus * costs.locked
    # Metadata, of all workers, one after the other.
    idle = gpus * rounds - units
    poll = LISTS * units * costs.look + OTHERS * costs.refused
    files = units * own + idle * _polls(batch) * poll
    sampling = max(rounds * (batch + own), files)
    finish = units * costs.shard + size * (costs.scan + costs.pack)
    evaluation = run.images * run.evaluate
    parts = {
        "start": begin,
        "join": queue,
        "sampling": sampling,
        "finish": finish,
        "evaluation": evaluation,
    }
    waiting = gpus * (begin + queue / 2 + sampling)
    return Spent(sum(parts.values()), waiting + finish + evaluation, parts)


def _polls(seconds: float) -> int:
    """How often a worker without work looks in this time."""
    polls, pause, waited = 0, POLL_S, 0.0
    while waited < seconds and pause < LONGEST_POLL_S:
        polls, waited, pause = polls + 1, waited + pause, min(1.5 * pause, LONGEST_POLL_S)
    return polls + math.ceil(max(0.0, seconds - waited) / LONGEST_POLL_S)


def simulate_runs(runs: Sequence[Run], gpus: int, costs: Costs, groups: int) -> Spent:
    """Several runs by groups of GPUs, each of which takes one run after the other.

    Args:
        groups: 1 = all GPUs share each run; at most as many as there are GPUs or runs are made.
    """
    groups = min(groups, gpus, len(runs))
    sizes = [gpus // groups + (number < gpus % groups) for number in range(groups)]
    walls, spent = [0.0] * groups, []
    # The longest first, each to the group that would be done with it first.
    for run in sorted(runs, key=lambda run: -run.seconds_per_image):
        options = {n: simulate_run(run, n, costs) for n in set(sizes)}
        group = min(range(groups), key=lambda g: walls[g] + options[sizes[g]].wall)
        walls[group] += options[sizes[group]].wall
        spent.append(options[sizes[group]])
    names = spent[0].parts
    parts = {name: sum(one.parts[name] for one in spent) / groups for name in names}
    return Spent(max(walls), sum(one.gpu for one in spent), parts)


def even_schedules(run: Run, seconds: tuple[float, float], count: int) -> list[Run]:
    """Runs from the large denoiser alone to the small one, evenly.

    Args:
        seconds: per image, of the small and the large denoiser alone.
    """
    small, large = seconds
    shares = [number / max(1, count - 1) for number in range(count)]
    return [replace(run, seconds_per_image=large + share * (small - large)) for share in shares]
