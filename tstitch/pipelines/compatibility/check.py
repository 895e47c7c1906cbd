"""All that is checked before two networks are stitched."""

import warnings
from typing import Any

from torch import nn

from tstitch.pipelines.compatibility.adapters import (
    check_control,
    check_perturbed,
    has_control,
    warn_of_lora,
)
from tstitch.pipelines.compatibility.distilled import check_guidance
from tstitch.pipelines.compatibility.latents import check_latents, check_texts
from tstitch.pipelines.compatibility.networks import check_networks
from tstitch.pipelines.compatibility.noise import check_noise
from tstitch.pipelines.compatibility.positions import check_positions


def check_fit(pipe: Any, large: nn.Module, small: nn.Module, small_pipe: Any) -> None:
    """Refuses a pair that cannot hand a step over, and warns of what may not be meant.

    Args:
        pipe: of the large network.
        small_pipe: pipeline of the small network; None if only the network is known.

    Raises:
        UserError: one line, with both values.
    """
    check_perturbed(pipe)
    check_networks(large, small)
    check_positions(large, small)
    check_guidance(large, small)
    if has_control(pipe):
        check_control(large, small)
    if small_pipe is not None:
        check_noise(getattr(pipe, "scheduler", None), getattr(small_pipe, "scheduler", None))
        check_latents(pipe, small_pipe)
        check_texts(pipe, small_pipe)
    warn_of_lora(large, small)
    if getattr(pipe, "transformer_2", None) is not None:
        warnings.warn(
            "pipe.transformer_2: it runs its own part of the steps as before, whatever the "
            "fraction; only steps of pipe.transformer are handed over",
            stacklevel=3,
        )
