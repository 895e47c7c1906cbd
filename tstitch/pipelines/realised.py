"""Which network ran which step of a pipeline's last run."""

from collections.abc import Sequence
from dataclasses import dataclass

NAMES = {1: ("large",), 2: ("small", "large"), 3: ("small", "medium", "large")}


@dataclass(frozen=True)
class Realised:
    """The steps of a run, as they ran.

    Args:
        models: network of each step that ran, in order; 0 is the smallest.
        timesteps: of each step that ran, as the scheduler counts them.
        steps: index of each step that ran in the whole schedule, from 0.
        num_steps: of the whole schedule, of which image-to-image runs a part.
        evaluations: calls of each network, small to large; guidance may take two a step.
    """

    models: tuple[int, ...]
    timesteps: tuple[float, ...]
    steps: tuple[int, ...]
    num_steps: int
    evaluations: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks, small to large."""
        return names(len(self.evaluations))

    @property
    def steps_per_network(self) -> dict[str, int]:
        """How many steps each network ran."""
        return {name: self.models.count(k) for k, name in enumerate(self.names)}

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {count}" for name, count in self.steps_per_network.items())
        return f"{len(self.models)} of {self.num_steps} steps: {parts}"


def names(count: int) -> tuple[str, ...]:
    """Of so many networks, small to large."""
    return NAMES.get(count, tuple(f"network {k}" for k in range(count)))


def summarise(
    evaluations: Sequence[tuple[int, int]], times: Sequence[float], num_networks: int
) -> Realised:
    """From the (step, network) of every evaluation of a run, in order.

    A step evaluated several times in a row counts once.
    """
    ran = [pair for i, pair in enumerate(evaluations) if i == 0 or pair != evaluations[i - 1]]
    calls = [model for _, model in evaluations]
    return Realised(
        models=tuple(model for _, model in ran),
        timesteps=tuple(times[step] for step, _ in ran),
        steps=tuple(step for step, _ in ran),
        num_steps=len(times),
        evaluations=tuple(calls.count(k) for k in range(num_networks)),
    )
