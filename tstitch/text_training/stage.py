"""One stage that trains: steps, checkpoints, log, measurements, and an end at a time if asked."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tstitch.data.datasets import StepBatches
from tstitch.runtime.errors import UserError
from tstitch.text_training.settings import Schedule, TextSettings
from tstitch.tracking.tracker import Tracker
from tstitch.training.attention import training_attention
from tstitch.training.checkpoint import TrainState, restore, save_checkpoint, writing
from tstitch.training.csv_log import CsvLog, Speed
from tstitch.training.ema import Ema
from tstitch.training.loop import step_generator
from tstitch.training.preview import averaged_network

FIELD = "text.dir"
# What a resumed training may change: neither its network nor what it sees depends on it.
CHANGEABLE = {
    "steps", "minutes", "decay_steps", "measure_every", "learning_rate", "warmup_steps",
    "weight_decay", "grad_clip", "ema_decay",
}  # fmt: skip
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a stage learns.

    Args:
        name: of the stage.
        network: with its first weights, on the device.
        loss: (network, indices int64 (n,) of images, generator) -> its loss, without dimensions.
            Random numbers are the generator's.
        measure: averaged network -> numbers by name.
        indices: int64, of the images to learn from.
        places: of the largest map that its attention sees.
        made_of: what else decides the result, by name: a checkpoint of other ones is refused.
    """

    name: str
    network: nn.Module
    loss: Callable[[nn.Module, Tensor, torch.Generator], Tensor]
    measure: Callable[[nn.Module], dict[str, float]]
    indices: Tensor
    places: int = 0
    made_of: Mapping[str, Any] = field(default_factory=dict)


def run_stage(
    task: Task,
    schedule: Schedule,
    settings: TextSettings,
    device: torch.device,
    folder: Path,
    tracker: Tracker,
) -> TrainState:
    """Trains from the last checkpoint on, to the last step or until the minutes are over.

    Files in the folder: log.csv, measures.csv and checkpoint.pt. The tracker gets what both
    tables get.

    Returns:
        The state, whose averaged weights are the result; task.network has the last weights.

    Raises:
        UserError: a checkpoint of another training, a file that cannot be written, or a loss that
            is not finite.
    """
    state = _state(task, schedule, device)
    names = {name: f"text.{task.name}.{name}" for name in type(schedule).model_fields}
    if restore(state, folder, FIELD, names, {}):
        log.info("%s: at step %d of %d", task.name, state.step, schedule.steps)
    if state.step >= schedule.steps:
        return state
    with writing(folder, FIELD):
        recorder = _Recorder(task, schedule, settings, state, folder, tracker)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=settings.dtype == "bf16")
    parameters = [p for p in state.network.parameters() if p.requires_grad]
    state.network.train()
    for indices in _batches(task, schedule, state.step):
        for group in state.optimizer.param_groups:
            group["lr"] = schedule.learning_rate_at(state.step)
        generator = step_generator(schedule.seed, state.step, 0, device)
        with training_attention(device, task.places):
            with autocast:
                loss = task.loss(state.network, indices.to(device), generator)
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, schedule.grad_clip or float("inf"))
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(state.network, state.step)
        state.step += 1
        with writing(folder, FIELD):
            if recorder(loss.detach()):
                break
    return state


def _state(task: Task, schedule: Schedule, device: torch.device) -> TrainState:
    optimizer = torch.optim.AdamW(
        [p for p in task.network.parameters() if p.requires_grad],
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    stream = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in schedule.model_dump().items()
        if name not in CHANGEABLE
    }
    ema = Ema(task.network, schedule.ema_decay)
    return TrainState(task.network, ema, optimizer, stream=stream | dict(task.made_of))


def _batches(task: Task, schedule: Schedule, first_step: int) -> Iterator[Tensor]:
    batches = StepBatches(
        len(task.indices),
        batch_size=schedule.batch_size,
        seed=schedule.seed,
        steps=range(first_step, schedule.steps),
        rank=0,
        world=1,
    )
    for places in batches:
        yield task.indices[torch.tensor(places)]


class _Recorder:
    """Called after every step; says whether to pause."""

    def __init__(
        self,
        task: Task,
        schedule: Schedule,
        settings: TextSettings,
        state: TrainState,
        folder: Path,
        tracker: Tracker,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tracker = tracker
        self._task, self._schedule, self._settings = task, schedule, settings
        self._state, self._folder = state, folder
        fields = ("step", "images", "loss", "learning_rate", *Speed.FIELDS)
        self._log = CsvLog(folder / "log.csv", fields, state.step)
        self._measures = CsvLog(folder / "measures.csv", ("step", "name", "value"), state.step)
        self._losses: list[Tensor] = []
        self._speed = Speed()
        self._end = None if schedule.minutes is None else time.monotonic() + 60 * schedule.minutes

    def __call__(self, loss: Tensor) -> bool:
        self._losses.append(loss)
        step, schedule, settings = self._state.step, self._schedule, self._settings
        over = self._end is not None and time.monotonic() >= self._end
        last = over or step == schedule.steps
        save = last or step % settings.checkpoint_every == 0
        if save or step % settings.log_every == 0:
            self._write_row(step)
        if last or (schedule.measure_every and step % schedule.measure_every == 0):
            self._measure(step)
        if save:
            save_checkpoint(self._state, self._folder)
        return last

    def _write_row(self, step: int) -> None:
        losses = torch.stack(self._losses)
        if not torch.isfinite(losses).all():
            raise UserError(
                f"text.{self._task.name}.learning_rate={self._schedule.learning_rate}: the loss is "
                f"not finite before step {step}; choose a smaller one; the last checkpoint is kept"
            )
        images = len(losses) * self._schedule.batch_size
        row = {
            "step": step,
            "images": step * self._schedule.batch_size,
            "loss": f"{losses.mean():.6g}",
            "learning_rate": f"{self._schedule.learning_rate_at(step - 1):.4g}",
            **self._speed.columns(images),
        }
        self._log.append(row)
        self._tracker.row(row)
        self._losses.clear()

    def _measure(self, step: int) -> None:
        network = averaged_network(self._state.network, self._state.ema.weights)
        with torch.no_grad():
            found = self._task.measure(network)
        self._measures.append(
            *({"step": step, "name": k, "value": f"{v:.6g}"} for k, v in found.items())
        )
        self._tracker.row({"step": step, **found})
        shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        log.info("%s: step %d of %d: %s", self._task.name, step, self._schedule.steps, shown)
        self._speed.begin()
