"""What a training leaves behind: log, checkpoints, averaged weights, sample grids, progress."""

import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints import save_weights
from samplers.discrete_vp import DiscreteVP
from tstitch.pair.spec import PairSpec
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.runtime.progress import Progress
from tstitch.tracking.tracker import Tracker
from tstitch.training.bias import measure_bias
from tstitch.training.checkpoint import TrainState, save_checkpoint, writing
from tstitch.training.csv_log import CsvLog
from tstitch.training.loop import Row
from tstitch.training.preview import averaged_network, save_preview
from tstitch.training.settings import TrainSettings

WEIGHTS = "ema.safetensors"  # of the whole training
READ_AT_ONCE = ("cpu",)  # devices whose numbers need not be waited for
LOG_FIELDS = (
    "step", "images", "mse", "bound", "grad_norm", "learning_rate", "images_per_s",
)  # fmt: skip
BIAS_FIELDS = ("step", "t", "bias", "bias_by_class", "error")
log = logging.getLogger(__name__)


class Recorder:
    """Called after every step on every rank; only rank 0 writes.

    Files in the folder: log.csv (means over the steps since the row before; a row every log_every
    steps and at each checkpoint), checkpoint.pt, ema.safetensors (at the end),
    ema-STEP.safetensors (snapshots), samples-STEP.png and, with it, rows of bias.csv.

    Args:
        process: of noise, that the denoiser is trained on.
        shown: latents and labels of the data at which the bias is measured, if samples are.
        tracker: gets the rows of log.csv and the samples.

    Numbers stay on the device until a file is written, which then waits for them; a gradient that
    is not finite is found there, before any file, and on the CPU at once.

    Raises:
        UserError: a file cannot be written, or, on every rank alike, a gradient is not finite.
    """

    def __init__(
        self,
        state: TrainState,
        settings: TrainSettings,
        pair: PairSpec,
        process: DiscreteVP,
        folder: Path,
        shown: tuple[Tensor, Tensor] | None,
        tracker: Tracker,
    ) -> None:
        self._state, self._settings, self._pair, self._folder = state, settings, pair, folder
        self._process, self._shown, self._tracker = process, shown, tracker
        self._rows: list[Row] = []
        self._norms: list[Tensor] = []  # of the steps not yet looked at
        self._since = time.perf_counter()  # of the steps in the next row, without writing files
        if distributed.is_main():
            with writing(folder):
                self._log = CsvLog(folder / "log.csv", LOG_FIELDS, state.step)
                if settings.sample_every:
                    self._biases = CsvLog(folder / "bias.csv", BIAS_FIELDS, state.step)
            self._progress = Progress(settings.denoiser, "steps", settings.steps, state.step)

    def __call__(self, step: int, row: Row) -> None:
        """Records one finished step."""
        norm = torch.as_tensor(row["grad_norm"])
        self._norms.append(norm)
        if self._writes_at(step) or norm.device.type in READ_AT_ONCE:
            self._refuse_infinite(step)
        if not distributed.is_main():
            return
        self._rows.append(row)
        with writing(self._folder):
            self._write_files(step)
        self._progress.reach(step)

    def close(self) -> None:
        """Ends the line of the progress bar: what is printed next begins a new one."""
        if distributed.is_main():
            self._progress.close()

    def _writes_at(self, step: int) -> bool:
        """Whether this step leaves a file."""
        settings = self._settings
        periods = (settings.checkpoint_every, settings.log_every, settings.sample_every)
        regular = any(period and step % period == 0 for period in periods)
        return regular or step == settings.steps or step in settings.snapshots

    def _refuse_infinite(self, step: int) -> None:
        finite = torch.isfinite(torch.stack(self._norms)).tolist()
        if not all(finite):
            first = step - len(finite) + finite.index(False)
            raise UserError(
                f"train.learning_rate={self._settings.learning_rate}: the gradient of step {first} "
                "is not finite; choose a smaller one; the last checkpoint is kept"
            )
        self._norms.clear()

    def _write_files(self, step: int) -> None:
        settings, last = self._settings, step == self._settings.steps
        checkpoint = step % settings.checkpoint_every == 0 or last
        if step % settings.log_every == 0 or checkpoint:
            self._write_row(step)
        begin = time.perf_counter()
        every, shown = settings.sample_every, self._shown
        if every and shown is not None and (step % every == 0 or last):
            self._preview(step, *shown)
        if step in settings.snapshots:
            self._export(f"ema-{step:07d}.safetensors", step)
        if last:
            self._export(WEIGHTS, step)
        if checkpoint:  # last: a run killed before it writes the other files again
            save_checkpoint(self._state, self._folder)
        self._since += time.perf_counter() - begin

    def _preview(self, step: int, latents: Tensor, labels: Tensor) -> None:
        network = averaged_network(self._state.network, self._state.ema.weights)
        path = self._folder / f"samples-{step:07d}.png"
        save_preview(network, self._pair, self._process, path, self._settings.seed)
        self._tracker.images("samples", [path], step)
        found = measure_bias(network, self._process, latents, labels)
        rows = [asdict(bias) | {"step": step} for bias in found]
        self._biases.append(
            *({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows)
        )
        shown = ", ".join(f"{bias.bias:+.3f} at t = {bias.t}" for bias in found)
        log.info("step %d: mean error of x_0 %s (1 = half of the range)", step, shown)

    def _write_row(self, step: int) -> None:
        mean = {name: _mean([row[name] for row in self._rows]) for name in self._rows[0]}
        now = time.perf_counter()
        rate = len(self._rows) * self._settings.batch_size / (now - self._since)
        self._since = now
        values = {
            "step": step,
            "images": step * self._settings.batch_size,
            **{name: f"{value:.6g}" for name, value in mean.items()},
            "images_per_s": f"{rate:.1f}",
        }
        self._log.append(values)
        self._tracker.row(values)
        self._progress.note(f"mse {values['mse']}, {values['images_per_s']} images/s")
        self._rows.clear()

    def _export(self, name: str, step: int) -> None:
        metadata = {
            "pair": self._pair.name,
            "denoiser": self._settings.denoiser,
            "steps": str(step),
            "images_seen": str(step * self._settings.batch_size),
            "ema_decay": str(self._settings.ema_decay),
            "date": datetime.now(UTC).date().isoformat(),
        }
        save_weights(
            self._state.ema.weights, self._folder / name, dtype=torch.bfloat16, metadata=metadata
        )


def _mean(values: list[float | Tensor]) -> float:
    """Of numbers, or of tensors without dimensions, fetched together."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    numbers = [value for value in values if not isinstance(value, Tensor)]
    numbers += torch.stack(tensors).tolist() if tensors else []
    return sum(numbers) / len(numbers)
