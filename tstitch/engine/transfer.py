"""Results on their way from the device to the host, without making the device wait."""

import numpy as np
import torch
from torch import Tensor


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
