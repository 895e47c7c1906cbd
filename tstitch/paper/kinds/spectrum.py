"""Which frequencies of the latents appear when (Fig. 11)."""

from dataclasses import dataclass
from statistics import mean
from typing import ClassVar

import torch
from torch import Tensor

from evaluation.metrics.spectrum import half_way, radial_log_amplitude
from evaluation.report.panels import Line, Panel
from tstitch.paper.figure.base import Answer, FigureData
from tstitch.paper.figure.probe import Probe, ProbedFigure

BINS = 10


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Log amplitude of the latents by frequency, before each step of the largest model and after.

    `amplitude`: per latent, x_T first, at most BINS values.
    """

    timesteps: list[float]
    amplitude: list[list[float]]


def c17(data: FigureData) -> Answer:
    rows = data.measured.amplitude
    quarter = max(1, len(rows[0]) // 4)
    low = half_way([mean(row[:quarter]) for row in rows])
    high = half_way([mean(row[-quarter:]) for row in rows])
    return low < high, (
        f"half of the change after {low:.1f} of {len(rows) - 1} steps (lowest quarter), "
        f"{high:.1f} (highest)"
    )


class SpectrumFigure(ProbedFigure):
    """One panel: amplitude against frequency, at some of the steps."""

    kind: ClassVar = "spectrum"
    record: ClassVar = Spectrum
    claim_tests: ClassVar = {"C17": c17}

    def look(self, probe: Probe) -> Spectrum:
        """Follows the largest of the probe's models alone."""
        leader = probe.roles[-1]
        timesteps: list[float] = []
        latents: list[list[Tensor]] = []
        for batch in probe.batches():
            path = probe.follow(leader, batch)
            timesteps = path.timesteps
            latents.append([*path.latents, path.x_0])
        rows = [torch.cat(parts).cpu() for parts in zip(*latents, strict=True)]
        bins = min(BINS, rows[0].shape[-1] // 2)
        return Spectrum(timesteps, [radial_log_amplitude(row, bins) for row in rows])

    def panels(self, data: FigureData) -> list[Panel]:
        every = data.measured.amplitude
        count = len(every[0])
        x = [(i + 0.5) / count for i in range(count)]
        names = [f"t = {t:.0f}" for t in data.measured.timesteps] + ["x_0"]
        picked = sorted({round(i * (len(every) - 1) / 5) for i in range(6)})
        lines = [Line(names[i], x, every[i]) for i in picked]
        return [Panel("before each step, and x_0", "frequency / pi", "log10 amplitude", lines)]
