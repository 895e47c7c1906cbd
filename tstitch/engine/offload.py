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
        self._tensors = {name: _tensors(network) for name, network in networks.items()}
        self._host: dict[str, list[Tensor]] = {}
        self._present: str | None = None
        for name, tensors in self._tensors.items():  # one after the other: pinning copies
            self._host[name] = [
                _pinned(t.data) if device.type == "cuda" else t.data for t in tensors
            ]
            self._send_out(name)

    @property
    def present(self) -> str | None:
        """Name of the network on the device."""
        return self._present

    def bring(self, name: str) -> None:
        """Makes sure that this network is on the device, and no other."""
        if self._present == name:
            return
        if self._present is not None:
            self._send_out(self._present)
        for tensor, host in zip(self._tensors[name], self._host[name], strict=True):
            tensor.data = host.to(self._device, non_blocking=True, copy=True)
        self._present = name

    def _send_out(self, name: str) -> None:
        for tensor, host in zip(self._tensors[name], self._host[name], strict=True):
            tensor.data = host


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _pinned(tensor: Tensor) -> Tensor:
    return tensor.pin_memory()
