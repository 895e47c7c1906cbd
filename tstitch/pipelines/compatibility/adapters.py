"""ControlNets, adapters and LoRAs, which were made for the large network."""

import warnings
from typing import Any

import torch
from torch import nn

from tstitch.pipelines.compatibility.refusal import refuse_other
from tstitch.runtime.errors import UserError

CONTROLS = ("controlnet", "adapter")
# Inputs of networks that hold what a ControlNet or T2I-Adapter adds.
RESIDUALS = (
    "down_block_additional_residuals", "mid_block_additional_residual",
    "down_intrablock_additional_residuals", "block_controlnet_hidden_states",
    "controlnet_block_samples", "controlnet_hidden_states",
)  # fmt: skip
PLACES = "a ControlNet adds to as many places of both; give a small one that has them"
WIDTH = "a ControlNet adds to hidden states of the large one's width; give a small one of it"


def check_control(large: Any, small: Any) -> None:
    """Refuses a small network that would drop a part of what a ControlNet adds.

    Raises:
        UserError: U-Nets of other stages or layers, transformers of another width.
    """
    big, little = large.config, small.config
    if not hasattr(big, "block_out_channels"):
        refuse_other("width", _width(little), _width(big), WIDTH)
        return
    stages = list(big.block_out_channels)
    refuse_other("block_out_channels", list(little.block_out_channels), stages, PLACES)
    count = len(stages)
    refuse_other("layers_per_block", _layers(little, count), _layers(big, count), PLACES)
    middle = getattr(big, "mid_block_type", None)
    refuse_other("mid_block_type", getattr(little, "mid_block_type", None), middle, PLACES)


def check_perturbed(pipe: Any) -> None:
    """Refuses pipelines that guide by perturbing layers of their own network.

    Raises:
        UserError: such a pipeline.
    """
    if hasattr(pipe, "set_pag_applied_layers"):
        raise UserError(
            f"pipe={type(pipe).__name__}: perturbed attention is set in layers of the large network"
            ", and the small one would run without; use the pipeline without it, or verify=False"
        )


def has_control(pipe: Any) -> bool:
    """Whether the pipeline has something that adds to its network's hidden states."""
    return any(isinstance(getattr(pipe, name, None), nn.Module) for name in CONTROLS)


def warn_of_lora(large: nn.Module, small: nn.Module) -> None:
    """Warns of a LoRA of the large network in the small one.

    diffusers loads what fits of it, and drops the rest without an error.
    """
    own, others = (
        {n: p for n, p in net.named_parameters() if "lora_" in n} for net in (small, large)
    )
    shared = [n for n in own if n in others and own[n].shape == others[n].shape]
    same = [n for n in shared if torch.equal(own[n].cpu(), others[n].cpu())]
    if same:
        warnings.warn(
            f"small: {len(same)} tensors of the large network's LoRA ({len(others)}) are loaded in "
            "the small one, where the others do not fit; load one made for it, or none",
            stacklevel=5,
        )


def _width(config: Any) -> Any:
    heads = getattr(config, "num_attention_heads", None)
    return None if heads is None else heads * config.attention_head_dim


def _layers(config: Any, stages: int) -> list[int]:
    layers = config.layers_per_block
    return [layers] * stages if isinstance(layers, int) else list(layers)
