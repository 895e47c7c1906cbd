"""The training: a student step and its fake score's, by turns (arXiv 2505.21960, Sec. 3)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tstitch.data.datasets import StepBatches
from tstitch.distil.objective import fake_loss, kl_divergence, vsd_gradient, vsd_loss
from tstitch.distil.plan import StudentPlan
from tstitch.distil.scores import Scores
from tstitch.distil.settings import SUM, DistilSettings
from tstitch.runtime import distributed
from tstitch.runtime.transfer import to_device
from tstitch.training.attention import training_attention
from tstitch.training.checkpoint import TrainState
from tstitch.training.loop import noised, step_generator

STUDENT, FAKE = 0, 1  # groups of the optimiser's parameters
# One step's numbers for the log, on the device, without dimensions or one per decoder.
Row = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every step works with.

    Args:
        plan: how the student makes x_0.
        scores: of the teacher and of what the student makes.
        states: float32 (N + 1, L, width), of captions; the last one of the empty text.
        alpha_bar: float32 (T,) on the device.
        latent_shape: (C, H, W).
    """

    plan: StudentPlan
    scores: Scores
    states: Tensor
    alpha_bar: Tensor
    latent_shape: tuple[int, int, int]
    settings: DistilSettings
    device: torch.device


def new_state(student: nn.Module, scores: Scores, settings: DistilSettings) -> TrainState:
    """The state before the first step: the student and what is trained of the fake score."""
    from tstitch.training.ema import Ema

    rates = (settings.learning_rate, settings.fake.learning_rate)
    trained = (list(student.parameters()), scores.trained)
    groups = [{"params": p, "lr": lr} for p, lr in zip(trained, rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    both = nn.ModuleDict({"student": student, "fake": nn.ParameterList(scores.trained)})
    ema = Ema(student, settings.ema_decay)
    return TrainState(both, ema, optimizer, stream=settings.stream())


def train(state: TrainState, workshop: Workshop, after_step: Callable[[int, Row], bool]) -> None:
    """Steps from state.step to settings.steps, or until after_step says so.

    Args:
        state: of `new_state`; changed in place.
        after_step: called with the number of finished steps and their numbers, on every rank.
    """
    settings = workshop.settings
    student = state.network["student"]  # type: ignore[index]
    student.train()
    places = math.prod(workshop.latent_shape[1:])
    for indices in _batches(workshop, state.step):
        share = settings.share_at(state.step)
        rates = (settings.learning_rate, settings.fake.learning_rate)
        for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * share
        draws = _Draws(settings, state.step, workshop.latent_shape, workshop.device)
        with training_attention(workshop.device, places):
            row, x_0, states = _student_step(student, workshop, draws, indices)
        row |= {"student_norm": _update(state, STUDENT, settings.grad_clip)}
        state.ema.update(student, state.step)
        losses, norms = [], []
        for _ in range(settings.fake.per_step):
            with training_attention(workshop.device, places):
                losses.append(_fake_step(workshop, draws, x_0, states))
            norms.append(_update(state, FAKE, settings.grad_clip))
        state.step += 1
        row |= {"fake": torch.stack(losses).mean(), "fake_norm": torch.stack(norms).mean()}
        if after_step(state.step, row):
            break


def _batches(workshop: Workshop, first_step: int) -> Iterator[Tensor]:
    """Indices int64 (B,) of the captions of each step, of all ranks together."""
    settings = workshop.settings
    batches = StepBatches(
        len(workshop.states) - 1,
        batch_size=settings.batch_size,
        seed=settings.seed,
        steps=range(first_step, settings.steps),
        rank=0,
        world=1,
    )
    return (torch.tensor(indices) for indices in batches)


class _Draws:
    """Random numbers of one step: drawn for the whole batch, of which a rank takes its rows.

    So a step is the same for any number of processes, and a resumed training draws the same.
    """

    def __init__(
        self, settings: DistilSettings, step: int, shape: Sequence[int], device: torch.device
    ) -> None:
        self._generator = step_generator(settings.seed, step, 0, device)
        self._size, self._shape, self._device = settings.batch_size, tuple(shape), device

    def own(self, values: Tensor) -> Tensor:
        """The rows of this rank."""
        return values.chunk(distributed.world_size())[distributed.rank()]

    def noise(self) -> Tensor:
        """Standard normal (n, C, H, W)."""
        shape = (self._size, *self._shape)
        return self.own(torch.randn(shape, generator=self._generator, device=self._device))

    def timesteps(self, span: tuple[int, int]) -> Tensor:
        """Uniform int64 (n,) from the first of the span up to below its second."""
        drawn = torch.randint(*span, (self._size,), generator=self._generator, device=self._device)
        return self.own(drawn)

    def chance(self, share: float) -> bool:
        """True in this share of the draws, for all images and ranks alike."""
        return torch.rand((), generator=self._generator, device=self._device).item() < share


def _student_step(
    student: nn.Module, workshop: Workshop, draws: _Draws, indices: Tensor
) -> tuple[Row, Tensor, Tensor]:
    """Puts gradients to the student's parameters.

    Returns:
        Numbers for the log, x_0 without gradient, and the states of its captions.
    """
    settings, states = (
        workshop.settings,
        to_device(workshop.states[draws.own(indices)], workshop.device),
    )
    z = draws.noise()
    with _autocast(workshop):
        x_0, noises = workshop.plan(student, z, states)
    gradient = _gradient(workshop, draws, x_0.detach(), states)
    distillation, divergence = vsd_loss(x_0, gradient), kl_divergence(noises)
    loss = distillation
    if settings.kl.weight:
        # A sum over the batch of all ranks, whose gradients are averaged.
        summed = divergence.sum() * distributed.world_size()
        term = summed if settings.kl.form == SUM else divergence.mean()
        loss = loss + settings.kl.weight * term
    loss.backward()
    variance, mean = torch.var_mean(noises.detach().flatten(2), dim=2)
    row = {"vsd": distillation, "kl": divergence.mean(), "gradient": gradient.abs().mean()}
    row |= {"x_0_mean": x_0.mean(), "x_0_std": x_0.std()}
    row |= {"eps_mean": mean.mean(1), "eps_variance": variance.mean(1)}
    return {name: value.detach() for name, value in row.items()}, x_0.detach(), states


@torch.no_grad()
def _gradient(workshop: Workshop, draws: _Draws, x_0: Tensor, states: Tensor) -> Tensor:
    settings, scores = workshop.settings, workshop.scores
    t, noise = draws.timesteps(settings.score_timesteps), draws.noise()
    alpha_bar = workshop.alpha_bar[t]
    x_t = noised(x_0, noise, alpha_bar)
    null = to_device(workshop.states[-1:], workshop.device)
    with _autocast(workshop):
        teacher = scores.teacher(x_t, t, states, null, settings.guidance)
        fake = scores.fake(x_t, t, states, null, settings.guidance)
    return vsd_gradient(teacher, fake, alpha_bar)


def _fake_step(workshop: Workshop, draws: _Draws, x_0: Tensor, states: Tensor) -> Tensor:
    """Puts gradients to the fake score's parameters; its loss."""
    own = workshop.settings.fake
    t, noise = draws.timesteps(own.timesteps), draws.noise()
    if draws.chance(own.null_share):
        states = to_device(workshop.states[-1:], workshop.device).expand_as(states)
    alpha_bar = workshop.alpha_bar[t]
    with _autocast(workshop):
        predicted = workshop.scores.predict(noised(x_0, noise, alpha_bar), t, states)
    loss = fake_loss(predicted, noise, alpha_bar)
    loss.backward()
    return loss.detach()


def _update(state: TrainState, group: int, limit: float) -> Tensor:
    """One step of the optimiser, of the parameters that have gradients: those of the group.

    Returns:
        The norm of the gradient before it is clipped.
    """
    parameters = state.optimizer.param_groups[group]["params"]
    distributed.average([p.grad for p in parameters if p.grad is not None])
    norm = nn.utils.clip_grad_norm_(parameters, limit or float("inf"))
    state.optimizer.step()  # passes over parameters without gradients: those of the other group
    state.optimizer.zero_grad(set_to_none=True)
    return norm.detach()


def _autocast(workshop: Workshop) -> torch.autocast:
    enabled = workshop.settings.dtype == "bf16"
    return torch.autocast(workshop.device.type, torch.bfloat16, enabled=enabled)
