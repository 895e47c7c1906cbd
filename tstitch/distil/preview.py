"""A sheet of the teacher's images above the student's, from the same noise."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluation.report.sheets import draw_grid
from models.spaces import VAESpace
from samplers import DDIM, DiscreteVP, Fractions, sample
from tstitch.distil.plan import StudentPlan
from tstitch.distil.scores import Scores
from tstitch.files.pictures import save_image
from tstitch.training.loop import step_generator

LABEL_LINES = 3
COLUMNS = 12


class Preview:
    """Images of a few captions from fixed noise.

    Args:
        captions: K of them.
        states: float32 (K + 1, L, width), what they mean; the last one of the empty text.
        space: of the latents.
    """

    def __init__(
        self, captions: tuple[str, ...], states: Tensor, space: VAESpace, device: torch.device
    ) -> None:
        self._captions, self._space = captions, space
        self._states, self._null = states[:-1].to(device), states[-1:].to(device)
        shape = (len(captions), *space.shape)
        self._z = torch.randn(shape, generator=step_generator(0, 0, 0)).to(device)
        self._above: Tensor | None = None

    @torch.no_grad()
    def ask_teacher(self, scores: Scores, process: DiscreteVP, steps: int, scale: float) -> None:
        """Makes the teacher's images, once: DDIM with guidance."""
        sampler = DDIM(steps, process=process, stitch=Fractions(fractions=[1.0]), num_models=1)

        def predict(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, None]:
            times = torch.full((len(x),), int(t), device=x.device)
            return scores.teacher(x, times, self._states, self._null, scale), None

        none = torch.zeros(len(self._z), dtype=torch.int64)
        self._above = sample(sampler, [predict], self._z, none, self._z.clone)

    @torch.no_grad()
    def save(self, student: Any, plan: StudentPlan, path: Path) -> None:
        """Writes the sheet."""
        below, _ = plan(student, self._z, self._states)
        both = [below] if self._above is None else [self._above, below]
        images = [self._space.decode_checked(latents)[0].cpu().numpy() for latents in both]
        names = (
            list(self._captions) if len(both) == 1 else [f"teacher: {n}" for n in self._captions]
        )
        rows, labels = [], list[str]()
        for first in range(0, len(names), COLUMNS):
            part = slice(first, first + COLUMNS)
            rows += [made[part] for made in images]
            labels += names[part] + (list(self._captions[part]) if len(both) > 1 else [])
        columns = min(COLUMNS, len(names))
        save_image(draw_grid(np.concatenate(rows), labels, columns, LABEL_LINES), path)
