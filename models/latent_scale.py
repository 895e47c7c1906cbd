"""The constants between an autoencoder's own latents and those that denoisers work on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

DEFAULT_SCALE = 0.18215  # of an AutoencoderKL whose config.json has none, as in diffusers


@dataclass(frozen=True, slots=True)
class LatentScale:
    """Denoisers' latents are (z - shift) / std * scale, of the autoencoder's own latents z.

    Shift is one number or one per channel, std one per channel or None for 1.
    """

    scale: float
    shift: float | tuple[float, ...] = 0.0
    std: tuple[float, ...] | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Of a config.json of diffusers: scaling_factor, shift_factor, latents_mean, latents_std.

        Raises:
            ValueError: a value that is no finite number, or a shift of both kinds.
        """
        scale, shift = config.get("scaling_factor"), config.get("shift_factor")
        mean, std = config.get("latents_mean"), config.get("latents_std")
        channels = config["latent_channels"]
        for name, values in (("latents_mean", mean), ("latents_std", std)):
            if values is not None and not _are_numbers(values, channels):
                raise ValueError(f"{name}={values} in its config.json: needs {channels} numbers")
        for name, value in (("scaling_factor", scale), ("shift_factor", shift)):
            if value is not None and not _are_numbers([value], 1):
                raise ValueError(f"{name}={value} in its config.json: must be a finite number")
        if (scale is not None and scale <= 0) or (std is not None and min(std) <= 0):
            raise ValueError("scaling_factor and latents_std in its config.json: must be positive")
        if mean is not None and shift is not None:
            raise ValueError("config.json has both latents_mean and shift_factor: remove one")
        return cls(
            DEFAULT_SCALE if scale is None else float(scale),
            tuple(map(float, mean)) if mean is not None else float(shift or 0.0),
            None if std is None else tuple(map(float, std)),
        )

    def apply(self, own: Tensor) -> Tensor:
        """The autoencoder's own latents (N,C,H,W) as denoisers take them."""
        if self.shift:
            own = own - _by_channel(self.shift, own)
        if self.std:
            own = own / _by_channel(self.std, own)
        return own * self.scale

    def undo(self, latents: Tensor) -> Tensor:
        """The inverse of `apply`."""
        own = latents / self.scale
        if self.std:
            own = own * _by_channel(self.std, own)
        return own + _by_channel(self.shift, own) if self.shift else own

    def __str__(self) -> str:
        """What decides the images; a scale alone is written as it was before there was more."""
        text = f"scale={self.scale!r}"
        text += f":shift={self.shift!r}" if self.shift else ""
        return text + (f":std={self.std!r}" if self.std else "")


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )


def _by_channel(value: float | tuple[float, ...], like: Tensor) -> float | Tensor:
    """A number, or one per channel (C,1,1)."""
    if isinstance(value, float):
        return value
    return torch.tensor(value, dtype=like.dtype, device=like.device)[:, None, None]
