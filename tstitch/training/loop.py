"""The training loop: data parallel, exact to resume, random numbers a function of the step."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.transfer import to_device
from tstitch.training.checkpoint import TrainState
from tstitch.training.latents import NextLatents
from tstitch.training.objective import HybridObjective
from tstitch.training.settings import TrainSettings

# One optimiser step's numbers for the log; on a device they are there when they are asked for.
Row = dict[str, float | Tensor]


def train(
    state: TrainState,
    objective: HybridObjective,
    next_latents: NextLatents,
    *,
    settings: TrainSettings,
    num_classes: int,
    device: torch.device,
    after_step: Callable[[int, Row], None],
) -> None:
    """Steps from state.step to settings.steps.

    Args:
        state: network, average and optimiser; changed in place.
        next_latents: this rank's share of one step, latents (n, C, H, W) and labels (n,).
        num_classes: index of the null class.
        after_step: called with the number of finished steps and their log row, on every rank.
    """
    network = state.network
    network.train()
    runner: Any = torch.compile(network, dynamic=False) if settings.compile else network
    runner = distributed.data_parallel(runner)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings.dtype == "bf16")
    parameters = [p for p in network.parameters() if p.requires_grad]
    while state.step < settings.steps:
        rate = settings.learning_rate_at(state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        generator = step_generator(settings.seed, state.step, distributed.rank(), device)
        x_0, y = next_latents(generator)
        if y.max() >= num_classes:  # num_classes itself would pass for the null class
            raise UserError(f"data: has label {y.max()}, the pair only 0 to {num_classes - 1}")
        x_0, y = to_device(x_0, device), to_device(y, device)
        t, eps, y = draw(x_0, y, settings, num_classes, generator)
        with autocast:
            losses = objective(runner, x_0, t, y, eps)
        (losses.noise + losses.bound).backward()
        norm = nn.utils.clip_grad_norm_(parameters, settings.grad_clip or float("inf"))
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(network, state.step)
        state.step += 1
        row = {"mse": losses.mse, "bound": losses.bound.detach(), "grad_norm": norm.detach()}
        after_step(state.step, row | {"learning_rate": rate})


def step_generator(
    seed: int, step: int, rank: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Generator of one step on one rank: what a resumed run draws is what it would have.

    Args:
        device: where it draws; each type of device has its own stream of numbers.
    """
    word = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(word))


class Draws(Protocol):
    """Settings of what a step draws, as configs/train.yaml explains them."""

    @property
    def timesteps(self) -> tuple[int, int]: ...
    @property
    def focus(self) -> tuple[int, int]: ...
    @property
    def focus_share(self) -> float: ...
    @property
    def label_dropout(self) -> float: ...


def draw(
    x_0: Tensor, y: Tensor, settings: Draws, num_classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Timesteps (n,), noise like x_0, and labels with some dropped to the null class.

    Timesteps are stratified over the batch: uniform each, with less variance together. A share
    of them, chosen at random, is drawn from the focus in place of the whole span. All are drawn
    on the generator's device, where x_0 and y are too.
    """
    n, device = len(x_0), generator.device
    place = (torch.arange(n, device=device) + torch.rand(n, generator=generator, device=device)) / n
    t = _timesteps(place, settings.timesteps)
    eps = torch.randn(x_0.shape, generator=generator, device=device)
    dropped = torch.rand(n, generator=generator, device=device) < settings.label_dropout
    if settings.focus_share:
        focused = torch.rand(n, generator=generator, device=device) < settings.focus_share
        t = torch.where(focused, _timesteps(place, settings.focus), t)
    return t, eps, torch.where(dropped, num_classes, y)


def noised(x_0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t of latents and noise (N, C, H, W) at alpha_bar (N,) (DDPM, Eq. 4)."""
    shares = alpha_bar[:, None, None, None]
    return shares.sqrt() * x_0 + (1 - shares).sqrt() * eps


def _timesteps(place: Tensor, span: tuple[int, int]) -> Tensor:
    """Places (n,) in 0..1 as timesteps (n,) from the span's first up to below its second."""
    first, end = span
    return (first + place * (end - first)).long().clamp(max=end - 1)
