"""Networks compiled by torch.compile: one shape at a time, and never anything else in silence."""

import importlib.util
import os
import shutil
import sys
from typing import Any

import torch
from torch import nn

from tstitch.runtime.errors import UserError

OLDEST_GPU = (7, 0)  # that triton has code for
SHAPES = 64  # of all networks of one class together; PyTorch's own limit is 8


def what_is_missing(device: torch.device) -> str | None:
    """What torch.compile lacks on this device, None if nothing."""
    if device.type != "cuda":
        name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        return None if shutil.which(name) else f"a C++ compiler ({name}, or what CXX names)"
    if torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return "a GPU of compute capability 7.0"
    if importlib.util.find_spec("triton") is None:
        return "the package triton"
    names = (os.environ.get("CC"), "gcc", "clang", "cc")
    if not any(shutil.which(name) for name in names if name):
        return "a C compiler (gcc, or what CC names)"
    return None


def check_compiler(device: torch.device) -> None:
    """Makes sure that torch.compile has what it needs.

    Raises:
        UserError: something is missing.
    """
    if missing := what_is_missing(device):
        raise UserError(
            f"engine.compile=true: needs {missing}, which is not here; install it or choose "
            "engine.compile=false"
        )


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """The network behind torch.compile; compiled at its first call with each shape.

    A network that cannot be compiled whole raises there. Kernels are chosen by rules, not by
    timing them, so that every rank and every run computes the same bits.

    In 16 bits on a CPU, attention is compiled from its products and softmax instead of being one
    call: PyTorch's fused attention runs its small products there at a seventh of the rate of
    large ones.

    Args:
        network: its modules are told how to compute attention.
        device: where it will run; until then its weights may be elsewhere.
    """
    narrow = device.type == "cpu" and any(p.dtype.itemsize == 2 for p in network.parameters())
    if narrow:
        module: Any
        for module in network.modules():
            if getattr(module, "fused_attn", False):  # timm's own switch
                module.fused_attn = False
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"  # 2.6
    setattr(limits, name, max(SHAPES, getattr(limits, name)))
    whole: Any = torch.compile(network, dynamic=False, fullgraph=True, options=_options(narrow))
    return whole


def _options(narrow: bool) -> dict[str, Any]:
    fixed = {"max_autotune": False, "coordinate_descent_tuning": False, "shape_padding": False}
    known = torch._inductor.list_options()
    if narrow and "cpp.use_decompose_tanh" in known:
        # GELU's tanh by exp, twice as fast and far more exact than 16 bits
        fixed |= {"cpp.use_decompose_tanh": True}
    if "deterministic" in known:  # torch 2.10: also which reductions a GPU runs
        return fixed | {"deterministic": True}
    return fixed | {"triton.autotune_pointwise": False}
