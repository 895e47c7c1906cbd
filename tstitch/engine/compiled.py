"""Networks compiled by torch.compile: one shape at a time, and never anything else in silence."""

import os
import shutil
import sys

import torch
from torch import nn

from tstitch.errors import UserError

SHAPES = 64  # of all networks of one class together; PyTorch's own limit is 8


def check_compiler(device: torch.device) -> None:
    """Makes sure that there is the C++ compiler that compiled CPU code needs.

    Raises:
        UserError: there is none.
    """
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(name) is None:
        raise UserError(
            f"engine.compile=true: needs a C++ compiler, and there is no {name}; install one, "
            "name it in CXX, or choose engine.compile=false"
        )


def compiled(network: nn.Module) -> nn.Module:
    """The network behind torch.compile; compiled at its first call with each shape.

    A network that cannot be compiled whole raises there. Kernels are chosen by rules, not by
    timing them, so that every rank and every run computes the same bits.
    """
    limits = torch._dynamo.config
    name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"  # 2.6
    setattr(limits, name, max(SHAPES, getattr(limits, name)))
    return torch.compile(network, dynamic=False, fullgraph=True, options=_options())


def _options() -> dict[str, bool]:
    by_timing = {"max_autotune": False, "coordinate_descent_tuning": False}
    known = torch._inductor.list_options()
    if "deterministic" in known:  # torch 2.10: also which reductions a GPU runs
        return by_timing | {"deterministic": True}
    return by_timing | {"triton.autotune_pointwise": False}
