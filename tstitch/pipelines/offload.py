"""Offloading by accelerate, whose hooks the pipeline puts into its own networks alone."""

from typing import Any

from torch import nn

from tstitch.runtime.errors import UserError


def follow(large: nn.Module, small: nn.Module) -> None:
    """Brings a small network to where the large one computes.

    Under model offload it moves along with the large one. Under sequential offload, whose weights
    wait elsewhere, it gets the same treatment before its first step.
    """
    device = _sequential_device(large) if hasattr(large, "_hf_hook") else None
    if device is None:
        release(small)
    elif not hasattr(small, "_hf_hook"):
        from accelerate import cpu_offload

        cpu_offload(small, device, offload_buffers=len(small._parameters) > 0)


def release(small: nn.Module) -> None:
    """Takes hooks of `follow` off a small network, whose weights come back."""
    if hasattr(small, "_hf_hook"):
        from accelerate.hooks import remove_hook_from_module

        remove_hook_from_module(small, recurse=True)


def lift(pipe: Any) -> Any:
    """Takes hooks of model offload off a pipeline, so that ours gets inside.

    Inside, because the pipeline takes its hooks off after every run, and all around them with it.

    Returns:
        What `lay` takes; None without offload.

    Raises:
        UserError: offload that cannot be put back.
    """
    hooks = getattr(pipe, "_all_hooks", None)
    if not hooks:
        return None
    device = pipe._offload_device
    pipe.remove_all_hooks()
    return device


def lay(pipe: Any, device: Any) -> None:
    """Puts hooks back that `lift` took off."""
    if device is not None:
        pipe.enable_model_cpu_offload(device=device)


def check_in_place(network: nn.Module, name: str) -> None:
    """Refuses networks that accelerate holds already.

    Args:
        name: of the pipeline, for the message.

    Raises:
        UserError: it does.
    """
    if hasattr(network, "_hf_hook"):
        raise UserError(
            f"{name}: its network is offloaded part by part; call {name}.remove_all_hooks() first, "
            "and enable the offload afterwards on the stitched pipeline"
        )


def _sequential_device(network: nn.Module) -> Any:
    """Where a network computes whose weights come in part by part; None for all others."""
    for module in network.modules():
        hook = getattr(module, "_hf_hook", None)
        hooks = getattr(hook, "hooks", (hook,))
        for one in hooks:
            if one is not None and getattr(one, "offload", False) is True:
                return one.execution_device
    return None
