"""Looks inside trajectories: similarity of predictions (Fig. 3), frequencies (Fig. 11)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from evaluation.spectrum import radial_log_amplitude
from samplers import Denoiser, Sampler, sample
from tstitch import distributed
from tstitch.paper.curve_settings import ROLES, Curve
from tstitch.paper.expected import Expected
from tstitch.paper.figure_settings import ProbeSettings
from tstitch.paper.plan import Spot, denoiser_names, plan_spots
from tstitch.paper.settings import Reproduction
from tstitch.pipeline import draw_unit
from tstitch.resources import Resources
from tstitch.shards import Unit
from tstitch.stitcher import Batch, Stitcher

BINS = 10
Record = Callable[[int, float, Tensor, Tensor], None]  # step, timestep, x, eps


def probe_spot(probe: ProbeSettings, told: Reproduction, models: tuple[str, ...]) -> Spot:
    """The run, all by the largest of the models, whose trajectory is looked into."""
    shares = tuple(float(role == models[-1]) for role in ROLES)
    curve = Curve(
        models, probe.sampler, (probe.steps,), (probe.guidance,), ("fraction",),
        (shares,), probe.images, {"": {}}, Expected(),
    )  # fmt: skip
    return plan_spots((curve,), told, whole=True)[0]


class Probe:
    """Guided denoisers of a pair, and the noise and labels of some images.

    Every rank makes one; rank 0 looks.

    Args:
        spot: of `probe_spot`.
    """

    def __init__(self, spot: Spot, resources: Resources) -> None:
        experiment = spot.experiment
        self._sampler: Sampler = experiment.sampler
        self._stitcher = Stitcher(experiment, resources.loaded())
        distributed.everywhere(lambda: self._stitcher.prepare(every=True))
        names, size = denoiser_names(spot.roles), experiment.run.batch_size
        self.denoisers: dict[str, Denoiser] = {
            role: self._stitcher.denoiser(names[role]) for role in spot.roles
        }
        self._units = [Unit(i, min(i + size, spot.images)) for i in range(0, spot.images, size)]

    def batches(self) -> list[Batch]:
        """Noise and labels of the images."""
        return [draw_unit(self._stitcher, unit)[0] for unit in self._units]

    @torch.inference_mode()
    def follow(self, role: str, batch: Batch, record: Record) -> Tensor:
        """Samples with one model alone; record is called before every step.

        Returns:
            the latents x_0.
        """
        number = 0

        def recording(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            nonlocal number
            eps, variance = self.denoisers[role](x, t, y)
            record(number, t, x[: batch.size], eps[: batch.size].float().clone())
            number += 1
            return eps, variance

        denoisers: Sequence[Denoiser] = [recording] * len(self.denoisers)
        return sample(self._sampler, denoisers, batch.x_T, batch.y, batch.step_noise)[: batch.size]

    @torch.inference_mode()
    def predict(self, role: str, batch: Batch, x: Tensor, t: float) -> Tensor:
        """Another model's guided prediction at a place of a trajectory."""
        missing = len(batch.y) - len(x)
        padded = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        return self.denoisers[role](padded, t, batch.y)[0][: len(x)].float().clone()


def measure_similarity(probe: Probe) -> dict[str, Any]:
    """Cosine similarity and relative L2 distance of predictions, by timestep and pair of models.

    `shared`: all models at the latents of the largest one's trajectory; `separate`: each model
    along its own, from the same noise. Means over images.
    """
    roles = list(probe.denoisers)
    pairs = [(a, b) for i, b in enumerate(roles) for a in roles[:i]]
    timesteps: list[float] = []
    sums: dict[str, dict[str, list[Tensor]]] = {"shared": {}, "separate": {}}
    for batch in probe.batches():
        own: dict[str, list[Tensor]] = {}
        at_leader: dict[str, list[Tensor]] = {role: [] for role in roles}
        timesteps.clear()

        def look(number: int, t: float, x: Tensor, eps: Tensor, seen: Any = (batch, at_leader)):
            timesteps.append(t)
            for role in roles[:-1]:
                seen[1][role].append(probe.predict(role, seen[0], x, t))
            seen[1][roles[-1]].append(eps)

        probe.follow(roles[-1], batch, look)
        own[roles[-1]] = at_leader[roles[-1]]
        for role in roles[:-1]:
            found: list[Tensor] = []
            probe.follow(role, batch, lambda n, t, x, eps, kept=found: kept.append(eps))
            own[role] = found
        for kind, eps in (("shared", at_leader), ("separate", own)):
            for a, b in pairs:
                values = [_alike(x, y) for x, y in zip(eps[a], eps[b], strict=True)]
                sums[kind].setdefault(f"{a}/{b}", []).append(torch.stack(values))
    result: dict[str, Any] = {"timesteps": list(timesteps)}
    for kind, entries in sums.items():
        result[kind] = {}
        for pair, chunks in entries.items():
            mean = torch.cat(chunks, dim=2).mean(2)  # (steps, 2)
            result[kind][pair] = {"cosine": mean[:, 0].tolist(), "distance": mean[:, 1].tolist()}
    return result


def measure_spectrum(probe: Probe) -> dict[str, Any]:
    """Log amplitude of the latents by frequency, before each step of the largest model and after.

    Returns:
        `timesteps` of the steps; `amplitude`: per latent, x_T first, at most BINS values.
    """
    leader = list(probe.denoisers)[-1]
    timesteps: list[float] = []
    latents: list[list[Tensor]] = []
    for batch in probe.batches():
        timesteps.clear()
        seen: list[Tensor] = []

        def look(number: int, t: float, x: Tensor, eps: Tensor, kept: list[Tensor] = seen) -> None:
            timesteps.append(t)
            kept.append(x.clone())

        seen_last = probe.follow(leader, batch, look)
        latents.append([*seen, seen_last])
    rows = [torch.cat(parts).cpu() for parts in zip(*latents, strict=True)]
    return {
        "timesteps": list(timesteps),
        "amplitude": [radial_log_amplitude(row, min(BINS, row.shape[-1] // 2)) for row in rows],
    }


def on_rank_0(measure: Callable[[Probe], dict[str, Any]], probe: Probe) -> dict[str, Any]:
    """Measures on rank 0 alone, which has all images; the others wait."""
    return distributed.on_main(lambda: measure(probe))


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """(2, N): cosine, and |a - b| / |b|, of each image."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(a, b)
    return torch.stack([cosine, (a - b).norm(dim=1) / b.norm(dim=1)]).cpu()
