"""The network of a pipeline that is called at every step."""

from typing import Any

from torch import nn

from tstitch.runtime.errors import UserError

NAMES = ("unet", "transformer")
TIMESTEPS = ("timestep", "timesteps", "t")  # what networks call theirs


def component_of(pipe: Any) -> str:
    """Which component it is: "unet" or "transformer".

    Raises:
        UserError: it has neither, or it is no network in memory.
    """
    kind = type(pipe).__name__
    for name in NAMES:
        network = getattr(pipe, name, None)
        if isinstance(network, nn.Module):
            return name
    raise UserError(
        f"pipe={kind}: it has no {' or '.join(NAMES)} to stitch; give a loaded diffusers pipeline"
    )


def network_of(given: Any, name: str, component: str) -> nn.Module:
    """A network: given as it is, or as that component of a pipeline.

    Raises:
        UserError: it is neither.
    """
    if isinstance(given, nn.Module):
        return given
    network = getattr(given, component, None)
    if not isinstance(network, nn.Module):
        raise UserError(
            f"{name}={type(given).__name__}: it has no {component}, as the large pipeline has; give"
            " such a pipeline, or the network"
        )
    return network
