"""`tstitch.calibrate`: how far two networks of a pipeline are apart at each of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from samplers.checks import check_integer
from samplers.stitch_base import MAX_SEED
from tstitch.pipelines.components import component_of
from tstitch.pipelines.disagreement import Disagreement
from tstitch.pipelines.hook import hook_of
from tstitch.pipelines.recorder import Recorder
from tstitch.pipelines.stitching import realised, stitch, unstitch
from tstitch.runtime.errors import UserError, errors_of


def calibrate(
    pipe: Any,
    small: Any,
    prompts: Sequence[str | Mapping[str, Any]],
    *,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    small_guidance: float | None = None,
    verify: bool = True,
) -> Disagreement:
    """Measures where a small network may take over best (TRACK, arXiv 2609.30096).

    Every prompt is sampled by the large network, then the small one is asked at the same latents
    and timesteps. What is compared is what the scheduler gets: guided, with whatever the pipeline
    adds. It costs one image of both networks per prompt; nothing is decoded.

    Args:
        pipe: of the large network, not stitched.
        small: pipeline of the small network, or the network.
        prompts: texts, or mappings of what a call of the pipeline takes instead.
        options: of every call, such as num_inference_steps and guidance_scale: those of the runs
            that the schedule is meant for.
        seed: of the noise of the first prompt; each further one has the next.
        small_guidance: as of `stitch`.
        verify: as of `stitch`.

    Returns:
        What `stitch(..., schedule=...)` takes; its `mean` is the curve, `topk(K)` the schedule.

    Raises:
        UserError: a bad value, networks that do not fit, or a run that leaves steps out.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Sequence) or not prompts:
        raise UserError("prompts: give a list of texts, or of what a call of the pipeline takes")
    with errors_of(""):
        check_integer("seed", seed, 0, MAX_SEED)
    if hook_of(getattr(pipe, component_of(pipe))) is not None:
        raise UserError("pipe: it is stitched already; call unstitch() first")
    curves = []
    for i, prompt in enumerate(prompts):
        words = {"prompt": prompt} if isinstance(prompt, str) else dict(prompt)
        call = {"output_type": "latent", **(options or {}), **words}
        curves.append(_curve(pipe, small, call, seed + i, small_guidance, verify and i == 0))
    if len({len(curve) for curve in curves}) > 1:
        raise UserError("prompts: they were sampled in different numbers of steps; choose one")
    return Disagreement(tuple(curves))


def _curve(
    pipe: Any,
    small: Any,
    call: Mapping[str, Any],
    seed: int,
    small_guidance: float | None,
    verify: bool,
) -> tuple[float, ...]:
    """Of one input, at each step."""
    recorder, num_steps = Recorder(), 0
    for fraction in (0, 1):
        stitch(pipe, small, fraction, small_guidance=small_guidance, verify=verify)
        hook = hook_of(getattr(pipe, component_of(pipe)))
        assert hook is not None
        try:
            with recorder.watching(pipe.scheduler, hook), torch.no_grad():
                pipe(**call, generator=torch.Generator().manual_seed(seed))
            num_steps = realised(pipe).num_steps
        finally:
            unstitch(pipe)
    return recorder.disagreement(num_steps)
