"""How alike the predictions of several models are along a trajectory (Fig. 3)."""

from dataclasses import dataclass
from statistics import mean
from typing import ClassVar

import torch
from torch import Tensor

from evaluation.report.panels import Line, Panel
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.curves import ROLES
from tstitch.paper.figure.probe import Probe, ProbedFigure


@dataclass(frozen=True, slots=True)
class Similarity:
    """Courses by trajectory, pair of models (`small/large`) and measure, one value per timestep.

    `shared`: all models at the latents of the largest one's trajectory; `separate`: each model
    along its own, from the same noise. Measures: `cosine` similarity, and relative L2 `distance`;
    means over images.
    """

    timesteps: list[float]
    shared: dict[str, dict[str, list[float]]]
    separate: dict[str, dict[str, list[float]]]


TRAJECTORIES = ("shared", "separate")


def c16(data: FigureData) -> Answer:
    good, parts = True, []
    for trajectory in TRAJECTORIES:
        for pair, course in getattr(data.measured, trajectory).items():
            cosine = course["cosine"]
            fifth = max(1, len(cosine) // 5)
            early, late = mean(cosine[:fifth]), mean(cosine[-fifth:])
            if trajectory == "shared":
                good = good and min(cosine[:fifth]) >= 0.95 and late < early
            parts.append(f"{trajectory} {pair}: {early:.3f} to {late:.3f}")
    return good, "cosine, mean of the first and the last fifth: " + "; ".join(parts)


class SimilarityFigure(ProbedFigure):
    """Panels of similarity against the timestep."""

    kind: ClassVar = "similarity"
    models: ClassVar = ROLES
    record: ClassVar = Similarity
    claim_tests: ClassVar = {"C16": c16}
    panel_columns: ClassVar = 2

    def look(self, probe: Probe) -> Similarity:
        return measure_similarity(probe)

    def panels(self, data: FigureData) -> list[Panel]:
        panels, measured = [], data.measured
        for measure, label in (("cosine", "cosine similarity"), ("distance", "|a - b| / |b|")):
            for trajectory in TRAJECTORIES:
                lines = [
                    Line(pair, measured.timesteps, course[measure])
                    for pair, course in getattr(measured, trajectory).items()
                ]
                title = f"{trajectory} trajectory"
                panels.append(Panel(title, "timestep (999 = noise)", label, lines))
        return panels


def measure_similarity(probe: Probe) -> Similarity:
    """Compares the predictions of all pairs of the probe's models."""
    roles = probe.roles
    leader, pairs = roles[-1], [(a, b) for i, b in enumerate(roles) for a in roles[:i]]
    timesteps: list[float] = []
    chunks: dict[str, dict[str, list[Tensor]]] = {trajectory: {} for trajectory in TRAJECTORIES}
    for batch in probe.batches():
        path = probe.follow(leader, batch)
        timesteps, places = path.timesteps, list(zip(path.latents, path.timesteps, strict=True))
        shared, separate = {leader: path.predictions}, {leader: path.predictions}
        for role in roles[:-1]:
            shared[role] = [probe.predict(role, batch, x, t) for x, t in places]
            separate[role] = probe.follow(role, batch).predictions
        for trajectory, eps in (("shared", shared), ("separate", separate)):
            for a, b in pairs:
                values = [_alike(x, y) for x, y in zip(eps[a], eps[b], strict=True)]
                chunks[trajectory].setdefault(f"{a}/{b}", []).append(torch.stack(values))
    return Similarity(
        timesteps,
        *({pair: _courses(parts) for pair, parts in chunks[t].items()} for t in TRAJECTORIES),
    )


def _courses(chunks: list[Tensor]) -> dict[str, list[float]]:
    means = torch.cat(chunks, dim=2).mean(2)  # (steps, 2)
    return {"cosine": means[:, 0].tolist(), "distance": means[:, 1].tolist()}


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """(2, N): cosine, and |a - b| / |b|, of each image."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(a, b)
    return torch.stack([cosine, (a - b).norm(dim=1) / b.norm(dim=1)]).cpu()
