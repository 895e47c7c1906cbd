"""Which device a process computes on, and in which precision."""

import torch

from tstitch import distributed
from tstitch.errors import UserError

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def choose_device(name: str, field: str) -> torch.device:
    """The torch device of this rank: each rank of a machine gets its own GPU.

    Args:
        name: auto (cuda, else mps, else cpu), cpu, cuda or mps.
        field: the configuration's name of the setting, for messages.

    Raises:
        UserError: the device is not there, or mps with several processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if torch.backends.mps.is_available() and distributed.world_size() == 1:
            name = "mps"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"{field}=cuda: torch sees no GPU; choose {field}=cpu")
        return torch.device("cuda", distributed.local_rank() % torch.cuda.device_count())
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UserError(f"{field}=mps: torch has no mps here; choose {field}=cpu")
        if distributed.world_size() > 1:
            raise UserError(f"{field}=mps: one process only; start it with plain python")
    return torch.device(name)


def set_precision(dtype: str, device: torch.device, field: str) -> torch.dtype:
    """Sets float32 matrix products to TF32 for `tf32`, to full float32 otherwise.

    Returns:
        The dtype of the denoisers' weights.

    Raises:
        UserError: a precision the device does not have.
    """
    if dtype == "tf32" and device.type != "cuda":
        raise UserError(f"{field}=tf32: needs a CUDA device; choose fp32 or bf16 on {device.type}")
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    return DTYPES[dtype]
