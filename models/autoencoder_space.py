"""Spaces of an autoencoder: its network on a device, in a precision, some images at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from models.chunks import images_at_once, in_chunks
from models.images import check_counts
from models.precision import DTYPES, float32_products, has_tf32

T = TypeVar("T")
CHUNK = 8  # images at once where the memory is not asked, as on the CPU


class AutoencoderSpace(ABC):
    """What such spaces share; on CUDA the layout is channels-last.

    Args:
        shape: (C,H,W) of a latent.
        chunk: images that go through the network at once; bounds its memory. auto = 8, on CUDA by
            the memory that the device has in all.
        dtype: fp32, tf32, bf16 or fp16, of its weights and products; latents and images stay
            float32. auto = tf32 where a GPU has it, else fp32.

    Raises:
        ValueError: chunk or dtype out of range; the message is `name=value: what is allowed`.
    """

    image_channels = 3
    image_size: int

    def __init__(self, shape: tuple[int, int, int], chunk: int | str, dtype: str) -> None:
        if chunk != "auto":
            check_counts({"chunk": chunk}, " or auto")
        if dtype not in ("auto", *DTYPES):
            raise ValueError(f"dtype={dtype}: choose one of auto, {', '.join(DTYPES)}")
        self.shape, self.chunk, self.dtype = shape, chunk, dtype
        self._network: Any = None  # of diffusers, once loaded
        self._chunk = CHUNK
        self._device = torch.device("cpu")

    def to(self, device: str | torch.device) -> Self:
        """Moves the network, now or when it is loaded; encode and decode accept any device.

        Raises:
            ValueError: tf32 asked for on a device that is not a GPU.
        """
        before, self._device = self._device, torch.device(device)
        if self.dtype == "tf32" and self._device.type != "cuda":
            raise ValueError(f"dtype=tf32: needs a CUDA device, not {self._device.type}; give auto")
        if self._network is not None and self._device != before:
            self._place()  # anew also the chunk, which may have been halved
        return self

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N,C,H,W) as uint8 images (N,image_size,image_size,3), on the device."""
        return self.decode_checked(latents)[0]

    @abstractmethod
    def decode_checked(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `decode`, and which images are finite, bool (N,): uint8 cannot tell."""

    @property
    def precision(self) -> str:
        """fp32, tf32, bf16 or fp16: what `dtype` comes to on the device."""
        if self.dtype != "auto":
            return self.dtype
        return "tf32" if has_tf32(self._device) else "fp32"

    def _place(self) -> None:
        layout = torch.preserve_format
        if self._device.type == "cuda":
            layout = torch.channels_last  # what cuDNN's convolutions are fastest with
        # Not diffusers' own `to`: it warns of modules to be kept in float32 where there are none.
        nn.Module.to(self._network, self._device, DTYPES[self.precision])
        self._network.to(memory_format=layout)
        self._chunk = self.chunk if isinstance(self.chunk, int) else CHUNK
        if self.chunk == "auto" and self._device.type == "cuda":
            widths, size = self._network.config.block_out_channels, DTYPES[self.precision].itemsize
            memory = torch.cuda.get_device_properties(self._device).total_memory
            self._chunk = images_at_once(list(widths), self.image_size, size, memory)

    def _in_chunks(self, function: Callable[[Tensor], T], batch: Tensor) -> list[T]:
        """The function over parts of the batch, in the autoencoder's own precision."""
        products: AbstractContextManager[None] = nullcontext()
        if self._device.type == "cuda":
            products = float32_products(self.precision == "tf32")
        with products, torch.autocast(self._device.type, enabled=False):
            results, self._chunk = in_chunks(function, batch, self._chunk)
        return results
