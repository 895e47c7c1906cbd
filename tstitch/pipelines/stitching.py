"""`tstitch.stitch`: trajectory stitching in any pipeline of diffusers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tstitch.pipelines.clock import Clock
from tstitch.pipelines.compatibility.check import check_fit
from tstitch.pipelines.components import component_of, network_of
from tstitch.pipelines.guidance import SmallGuidance
from tstitch.pipelines.hook import StitchHook, attach, detach, hook_of
from tstitch.pipelines.offload import check_in_place, lay, lift, release
from tstitch.pipelines.realised import Realised
from tstitch.pipelines.schedule import choose_schedule
from tstitch.pipelines.together import bind, check_not_compiled, unbind
from tstitch.runtime.errors import UserError


def stitch(
    pipe: Any,
    small: Any,
    fraction: float | None = None,
    *,
    axis: str | None = None,
    boundary: float | None = None,
    schedule: Any = None,
    small_guidance: float | None = None,
    verify: bool = True,
) -> Any:
    """Lets a small network take the early, noisy steps of a diffusers pipeline (T-Stitch, Sec. 3).

    The pipeline is changed in place and returned; `unstitch` undoes it. Stitching it again
    replaces what was there.

    Args:
        pipe: pipeline of the large network, a diffusers DiffusionPipeline or ModularPipeline.
        small: pipeline of the small network, or the network. A pipeline says more of itself, so
            that more is checked. A list, small to large, for more than two networks.
        fraction: part of the whole schedule's steps that the small one takes, in [0, 1]; None =
            0.4. Image-to-image at strength 0.5 begins in the middle of it.
        axis: "step" counts steps of the loop (None = this), "time" timesteps, as 1 - t/T.
        boundary: instead of a fraction: the small one runs while t/T >= boundary.
        schedule: any other: a kind ("interleave"), a mapping ({"kind": "window", "start": 0.2,
            "end": 0.6}), network indices of all steps (0 = small), an object of samplers, or what
            `calibrate` found.
        small_guidance: scale of classifier-free guidance for the small one's steps, above 1.
        verify: refuse networks that do not fit, before anything runs.

    Returns:
        `pipe`.

    Raises:
        UserError: a bad value, or networks that do not fit; one line, naming both values.
    """
    given = small if isinstance(small, list | tuple) else [small]
    chosen = choose_schedule(fraction, axis, boundary, schedule)
    component = component_of(pipe)
    large = getattr(pipe, component)
    check_not_compiled(large, component)
    smaller = [network_of(one, "small", component) for one in given]
    _check_distinct([*smaller, large])
    guidance = None if small_guidance is None else SmallGuidance(small_guidance, pipe)
    if verify:
        for one, network in zip(given, smaller, strict=True):
            check_fit(pipe, large, network, None if one is network else one)
    if hook_of(large) is not None:
        unstitch(pipe)
    for network in smaller:
        check_in_place(network, "small")
    device = lift(pipe)
    check_in_place(large, "pipe")
    for network in smaller:
        _move(network, large)
    attach(large, StitchHook(smaller, Clock(pipe), chosen, guidance))
    bind(large)
    lay(pipe, device)
    return pipe


def unstitch(pipe: Any) -> Any:
    """Gives a stitched pipeline its large network back, as it was; returns the pipeline.

    Raises:
        UserError: it is not stitched.
    """
    large, _ = _stitched(pipe)
    device = lift(pipe)
    check_in_place(large, "pipe")
    hook = detach(large)
    unbind(large)
    for network in hook.smaller:
        release(network)
    lay(pipe, device)
    return pipe


def realised(pipe: Any) -> Realised:
    """Which network ran which step of the last run of a stitched pipeline.

    Raises:
        UserError: it is not stitched, or did not run yet.
    """
    _, hook = _stitched(pipe)
    found = hook.realised
    if found is None:
        raise UserError("pipe: it did not run since it was stitched; call it first")
    return found


def _stitched(pipe: Any) -> tuple[nn.Module, StitchHook]:
    large = getattr(pipe, component_of(pipe))
    hook = hook_of(large)
    if hook is None:
        raise UserError(f"pipe={type(pipe).__name__}: it is not stitched; call stitch() on it")
    return large, hook


def _check_distinct(networks: Sequence[nn.Module]) -> None:
    if len(networks) < 2 or len({id(network) for network in networks}) < len(networks):
        raise UserError("small: give at least one network, each another one than the large one")
    for network in networks[:-1]:
        if hook_of(network) is not None:
            raise UserError("small: it is the large network of a stitched pipeline; unstitch it")


def _move(small: nn.Module, large: nn.Module) -> None:
    """To the device and dtype of the large network; quantised weights stay what they are."""
    device = next(large.parameters()).device
    dtype: torch.dtype = large.dtype  # type: ignore[assignment]
    if small.dtype != dtype and not getattr(small, "is_quantized", False):
        small.to(device, dtype)
    else:
        small.to(device)
