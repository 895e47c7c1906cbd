"""What the large network was called with, as a small one takes it."""

from typing import Any

from torch import nn

from tstitch.pipelines.compatibility.adapters import RESIDUALS, check_control
from tstitch.runtime.errors import UserError

# Inputs of distilled guidance, and the config of networks that take them.
DISTILLED = {"guidance": "guidance_embeds", "timestep_cond": "time_cond_proj_dim"}


def fit_inputs(small: nn.Module, large: nn.Module, inputs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments, without those that the small network has no weights for.

    Raises:
        UserError: what would be ignored in silence.
    """
    _check_image_prompt(small, large)
    if any(inputs.get(name) is not None for name in RESIDUALS):
        check_control(large, small)
    skipped = inputs.get("skip_layers")
    if skipped:
        depth = len(getattr(small, "transformer_blocks", ()))
        if max(skipped) >= depth:
            raise UserError(
                f"skip_guidance_layers={list(skipped)}: the small network has layers 0 to "
                f"{depth - 1}; choose among these, or fraction=0"
            )
    dropped = {
        name
        for name, field in DISTILLED.items()
        if inputs.get(name) is not None and not getattr(small.config, field, None)
    }
    return {name: None if name in dropped else value for name, value in inputs.items()}


def _check_image_prompt(small: nn.Module, large: nn.Module) -> None:
    """An IP-Adapter in one of the two: the other would ignore the image, or fail without."""
    have = {
        name: getattr(network, "encoder_hid_proj", None) is not None
        for name, network in (("small", small), ("large", large))
    }
    if have["small"] != have["large"]:
        one = "large" if have["large"] else "small"
        raise UserError(
            f"ip_adapter: one is loaded in the {one} network alone; load one in both pipelines, or "
            "in neither"
        )
