"""Tensors on their way between host and device, without making either wait."""

import numpy as np
import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; from the host to CUDA through pinned memory, still under way."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class HostCopy:
    """A copy of a tensor that is under way; on CUDA into pinned memory.

    Args:
        tensor: on any device; on CUDA it may still be in the making.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._host, self._done = tensor, None
        if tensor.device.type == "cuda":
            self._host = torch.empty_like(tensor, device="cpu", pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._done = torch.cuda.Event(blocking=True)
            self._done.record(torch.cuda.current_stream(tensor.device))

    def wait(self) -> np.ndarray:
        """The values, once they are there."""
        if self._done is not None:
            self._done.synchronize()
        return self._host.cpu().numpy()
