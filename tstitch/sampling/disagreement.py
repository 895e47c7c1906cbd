"""How far two denoisers are apart along a trajectory (TRACK, arXiv 2609.30096)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from samplers import PREDICTIONS, Denoiser, Sampler, conversion, sample
from tstitch.runtime.errors import UserError, errors_of
from tstitch.sampling.batch import Batch

LEAST_NORM = 1e-8  # in place of a smaller one, to divide by


def disagreement(
    sampler: Sampler, denoisers: Sequence[Denoiser], batch: Batch, compare: str
) -> Tensor:
    """norm(p_first - p_last) / norm(p_last), over an image, on the trajectories of the last.

    Args:
        denoisers: guided, as they answer the sampler.
        compare: which prediction p is, one of samplers.PREDICTIONS.

    Returns:
        (steps, batch.size) float64 on the host: the mean over a step's evaluations.

    Raises:
        UserError: no such prediction, or what the sampler asks for does not tell it at some
            timestep.
    """
    if compare not in PREDICTIONS:
        raise UserError(f"stitch.compare={compare}: choose one of {', '.join(PREDICTIONS)}")
    first, last, process = denoisers[0], denoisers[-1], sampler.process
    with errors_of(f"stitch.compare={compare}: "):
        conversions = {
            t: conversion(
                *(sampler.prediction, compare), float(process.alpha(t)), float(process.sigma(t))
            )
            for t in {step.t for step in sampler.plan}
        }
    found = list[Tensor]()

    def compared(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
        prediction, variance = last(x, t, y)
        others, _ = first(x, t, y)
        ours = conversions[t](x, prediction.to(x.dtype)).flatten(1)
        apart = (conversions[t](x, others.to(x.dtype)).flatten(1) - ours).norm(dim=1)
        found.append(apart / ours.norm(dim=1).clamp_min(LEAST_NORM))
        return prediction, variance

    sample(sampler, [compared] * len(denoisers), batch.x_T, batch.y, batch.step_noise)
    every = torch.stack(found)[:, : batch.size].double().cpu()
    return torch.stack([part.mean(0) for part in every.split(list(sampler.evaluations))])
