"""What the denoisers take the clean image to be, along a trajectory."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from samplers import Denoiser, Sampler, conversion, sample
from tstitch.runtime.errors import errors_of
from tstitch.sampling.batch import Batch


def predictions(
    sampler: Sampler,
    denoisers: Sequence[Denoiser],
    batch: Batch,
    decode: Callable[[Tensor], Tensor],
) -> Tensor:
    """The predicted x_0 at each evaluation of the plan, and at last the image that is made.

    Args:
        denoisers: guided, as they answer the sampler.
        decode: latents to uint8 images, as of a space.

    Returns:
        uint8 (evaluations + 1, batch.size, H, W, 3) on the host.

    Raises:
        UserError: what the sampler asks for does not tell x_0 at some timestep.
    """
    given, process, found = sampler.prediction, sampler.process, list[Tensor]()
    with errors_of("sampler: "):
        to_x_0 = {
            t: conversion(given, "x0", float(process.alpha(t)), float(process.sigma(t)))
            for t in {step.t for step in sampler.plan}
        }

    def keep(x_0: Tensor) -> None:
        found.append(decode(x_0)[: batch.size].cpu())

    def watched(denoiser: Denoiser) -> Denoiser:
        def predicted(x: Tensor, t: float, y: Tensor) -> tuple[Tensor, Tensor | None]:
            prediction, variance = denoiser(x, t, y)
            keep(to_x_0[t](x, prediction.to(x.dtype)))
            return prediction, variance

        return predicted

    own = [watched(denoiser) for denoiser in denoisers]
    keep(sample(sampler, own, batch.x_T, batch.y, batch.step_noise))
    return torch.stack(found)
