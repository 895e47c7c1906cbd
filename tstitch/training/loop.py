"""The training loop: data parallel, exact to resume, random numbers a function of the step."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tstitch import distributed
from tstitch.errors import UserError
from tstitch.training.checkpoint import TrainState
from tstitch.training.latents import NextLatents
from tstitch.training.objective import HybridObjective
from tstitch.training.settings import TrainSettings

# One optimiser step's numbers for the log.
Row = dict[str, float]


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
    runner: nn.Module = torch.compile(network, dynamic=False) if settings.compile else network
    runner = distributed.data_parallel(runner)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings.dtype == "bf16")
    parameters = [p for p in network.parameters() if p.requires_grad]
    while state.step < settings.steps:
        started = time.perf_counter()
        rate = settings.learning_rate_at(state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        generator = step_generator(settings.seed, state.step, distributed.rank())
        x_0, y = next_latents(generator)
        if y.max() >= num_classes:  # num_classes itself would pass for the null class
            raise UserError(f"data: has label {y.max()}, the pair only 0 to {num_classes - 1}")
        t, eps, y = draw(x_0, y, settings, num_classes, generator)
        x_0, t, eps, y = (v.to(device, non_blocking=True) for v in (x_0, t, eps, y))
        with autocast:
            losses = objective(runner, x_0, t, y, eps)
        (losses.noise + losses.bound).backward()
        norm = nn.utils.clip_grad_norm_(parameters, settings.grad_clip or float("inf"))
        if not torch.isfinite(norm):
            raise UserError(
                f"train.learning_rate={settings.learning_rate}: the gradient of step {state.step} "
                "is not finite; choose a smaller one; the last checkpoint is kept"
            )
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(network, state.step)
        state.step += 1
        row = {"mse": losses.mse.item(), "bound": losses.bound.item(), "grad_norm": norm.item()}
        row |= {"learning_rate": rate, "seconds": time.perf_counter() - started}
        after_step(state.step, row)


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """CPU generator of one step on one rank: what a resumed run draws is what it would have."""
    word = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(word))


def draw(
    x_0: Tensor,
    y: Tensor,
    settings: TrainSettings,
    num_classes: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Timesteps (n,), noise like x_0, and labels with some dropped to the null class.

    Timesteps are stratified over the batch: uniform each, with less variance together. A share
    of them, chosen at random, is drawn from the focus in place of the whole span.
    """
    n = len(x_0)
    place = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    t = _timesteps(place, settings.timesteps)
    eps = torch.randn(x_0.shape, generator=generator)
    dropped = torch.rand(n, generator=generator) < settings.label_dropout
    if settings.focus_share:
        focused = torch.rand(n, generator=generator) < settings.focus_share
        t = torch.where(focused, _timesteps(place, settings.focus), t)
    return t, eps, torch.where(dropped, num_classes, y)


def _timesteps(place: Tensor, span: tuple[int, int]) -> Tensor:
    """Places (n,) in 0..1 as timesteps (n,) from the span's first up to below its second."""
    first, end = span
    return (first + place * (end - first)).long().clamp(max=end - 1)
