"""Which device a process computes on, and in which precision."""

import torch

from models.precision import DTYPES
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str, field: str) -> torch.device:
    """The torch device of this rank: each rank of a machine gets its own GPU.

    Args:
        name: auto (cuda, else mps, else cpu), cpu, cuda or mps.
        field: the configuration's name of the setting, for messages.

    Raises:
        UserError: the device is not there, or mps with several processes.
    """
    if name not in DEVICES:
        raise UserError(f"{field}={name}: choose one of {', '.join(DEVICES)}")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    alone = distributed.world_size() == 1
    if name == "auto":
        name = "cuda" if has_cuda else "mps" if has_mps and alone else "cpu"
    if name == "cuda":
        if not has_cuda:
            raise UserError(f"{field}=cuda: torch sees no GPU; choose {field}=cpu")
        return torch.device("cuda", distributed.local_rank() % torch.cuda.device_count())
    if name == "mps" and not has_mps:
        raise UserError(f"{field}=mps: torch has no mps here; choose {field}=cpu")
    if name == "mps" and not alone:
        raise UserError(f"{field}=mps: one process only; start it with plain python")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device, field: str) -> torch.dtype:
    """The dtype of the denoisers' weights.

    Args:
        name: fp32, tf32 (float32 weights, TF32 products), bf16 or fp16.

    Raises:
        UserError: a precision the device does not have.
    """
    if name == "tf32" and device.type != "cuda":
        raise UserError(f"{field}=tf32: needs a CUDA device; choose fp32 or bf16 on {device.type}")
    return DTYPES[name]


def set_matmul_precision(name: str) -> None:
    """Makes float32 matrix products run in TF32 for `tf32`, in full float32 otherwise."""
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"
