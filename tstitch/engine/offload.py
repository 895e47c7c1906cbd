"""Networks that take turns on a device that is too small for all of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TakingTurns:
    """Keeps one network on the device, the others in host memory.

    The weights stay on the host too, pinned for CUDA: bringing a network in is one copy, sending
    it out frees memory. Stitch schedules change the network rarely, so this is paid a few times
    a batch.

    Args:
        networks: by name, on the host; their parameters and buffers are moved in place.
        device: where they run.
    """

    def __init__(self, networks: Mapping[str, nn.Module], device: torch.device) -> None:
        self._device = device
        self._tensors = {n: [*m.parameters(), *m.buffers()] for n, m in networks.items()}
        self._host: dict[str, list[Tensor]] = {}
        self.present: str | None = None  # name of the network on the device
        for name, tensors in self._tensors.items():  # one after the other: pinning copies
            pinned = device.type == "cuda"
            self._host[name] = [t.data.pin_memory() if pinned else t.data for t in tensors]
            self._send_out(name)

    def bring(self, name: str) -> None:
        """Makes sure that this network is on the device, and no other."""
        if self.present == name:
            return
        if self.present is not None:
            self._send_out(self.present)
        for tensor, host in zip(self._tensors[name], self._host[name], strict=True):
            tensor.data = host.to(self._device, non_blocking=True, copy=True)
        self.present = name

    def _send_out(self, name: str) -> None:
        for tensor, host in zip(self._tensors[name], self._host[name], strict=True):
            tensor.data = host
