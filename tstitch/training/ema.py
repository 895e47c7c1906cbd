"""Exponential moving average of a network's parameters."""

import torch
from torch import Tensor, nn


class Ema:
    """Averaged float32 copy of the parameters, with a warm-up of the decay.

    The decay of step s is min(decay, (1 + s) / (10 + s)), so that a short run is not dominated
    by its initial weights.

    Args:
        network: its parameters are copied now.
        decay: in 0..1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the network after optimiser step number `step` (0-based)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged = list(self.weights.values())
        current = [value.detach() for value in network.state_dict().values()]
        torch._foreach_lerp_(averaged, current, 1.0 - decay)
