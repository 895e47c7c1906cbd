"""Exponential moving average of a network's parameters."""

import torch
from torch import Tensor, nn


class Ema:
    """Averaged float32 copy of the parameters and statistics, with a warm-up of the decay.

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
        state = network.state_dict()
        floats = [name for name, value in self.weights.items() if value.is_floating_point()]
        averaged = [self.weights[name] for name in floats]
        torch._foreach_lerp_(averaged, [state[name].detach() for name in floats], 1.0 - decay)
        for name in self.weights.keys() - set(floats):  # counters
            self.weights[name].copy_(state[name])
