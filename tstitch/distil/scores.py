"""The two scores that are compared: of the teacher, and of what the student makes."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tstitch.distil.settings import FULL, FakeSettings
from tstitch.runtime.errors import UserError

ATTENTION = ["to_q", "to_v"]  # of self- and cross-attention: what a LoRA is on


class Scores:
    """Teacher and fake score, the latter trained; both begin as the teacher.

    Of kind lora they are one U-Net, with and without its adapter; of kind full two.

    Args:
        unet: the teacher's, frozen; of kind lora it gets the adapter.
        settings: of the fake score.
        seed: of the adapter's first weights.

    Raises:
        UserError: kind lora without the package peft.
    """

    def __init__(self, unet: Any, settings: FakeSettings, seed: int) -> None:
        self._teacher, self._is_full = unet, settings.kind == FULL
        self.network: Any = copy.deepcopy(unet) if self._is_full else unet
        if self._is_full:
            self.network.requires_grad_(True)
        else:
            _add_lora(unet, settings, seed)
        self.trained: list[nn.Parameter] = [p for p in self.network.parameters() if p.requires_grad]

    @torch.no_grad()
    def teacher(self, x_t: Tensor, t: Tensor, states: Tensor, null: Tensor, scale: float) -> Tensor:
        """The teacher's guided noise (B, C, H, W), float32.

        Args:
            x_t: noisy latents (B, C, H, W).
            t: timesteps (B,) int64.
            states: of captions, (B, L, width).
            null: of the empty text, (1, L, width).
            scale: of guidance; 1 = none.
        """
        with self._without_adapter():
            return _guided(self._teacher, x_t, t, states, null, scale)

    @torch.no_grad()
    def fake(self, x_t: Tensor, t: Tensor, states: Tensor, null: Tensor, scale: float) -> Tensor:
        """The same of the fake score, guided alike."""
        return _guided(self.network, x_t, t, states, null, scale)

    def predict(self, x_t: Tensor, t: Tensor, states: Tensor) -> Tensor:
        """The fake score's noise without guidance, to be learned."""
        return _noise(self.network, x_t, t, states)

    @contextmanager
    def _without_adapter(self) -> Iterator[None]:
        if self._is_full:
            yield
            return
        self._teacher.disable_adapters()
        try:
            yield
        finally:
            self._teacher.enable_adapters()


def _add_lora(unet: Any, settings: FakeSettings, seed: int) -> None:
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise UserError(
            "distil.fake.kind=lora: needs peft; pip install peft, or choose full"
        ) from error
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=ATTENTION)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(config)


def _noise(unet: Any, x_t: Tensor, t: Tensor, states: Tensor) -> Tensor:
    found: Tensor = unet(x_t, t, states, return_dict=False)[0]
    return found.to(x_t.dtype)


def _guided(
    unet: Any, x_t: Tensor, t: Tensor, states: Tensor, null: Tensor, scale: float
) -> Tensor:
    if scale == 1:
        return _noise(unet, x_t, t, states)
    both = torch.cat([null.expand_as(states), states])
    plain, asked = _noise(unet, torch.cat([x_t, x_t]), torch.cat([t, t]), both).chunk(2)
    return plain + scale * (asked - plain)
