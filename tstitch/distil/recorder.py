"""What a training of a student leaves behind: log, checkpoints, previews."""

import logging
import time
from pathlib import Path

import torch

from tstitch.distil.loop import Row
from tstitch.distil.plan import StudentPlan
from tstitch.distil.preview import Preview
from tstitch.distil.settings import DistilSettings
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError
from tstitch.tracking.tracker import Tracker
from tstitch.training.checkpoint import TrainState, save_checkpoint, writing
from tstitch.training.csv_log import CsvLog, Speed
from tstitch.training.preview import averaged_network

FIELD = "distil.dir"
SHOWN = ("vsd", "kl", "gradient", "fake")
log = logging.getLogger(__name__)


class Recorder:
    """Called after every step on every rank; says whether to pause. Rank 0 writes.

    Files in the folder: log.csv, a row every log_every steps and at each checkpoint, means over
    the steps since the row before and over ranks; checkpoint.pt; preview-STEP.png.

    Args:
        tracker: gets the rows of log.csv and the previews.
        preview: what rank 0 shows, if anything.

    Raises:
        UserError: a file cannot be written, or, on every rank alike, a loss is not finite.
    """

    def __init__(
        self,
        state: TrainState,
        settings: DistilSettings,
        plan: StudentPlan,
        folder: Path,
        tracker: Tracker,
        preview: Preview | None = None,
    ) -> None:
        self._state, self._settings, self._folder = state, settings, folder
        self._plan, self._preview, self._tracker = plan, preview, tracker
        self._rows: list[Row] = []
        self._speed = Speed()
        self._end = None if settings.minutes is None else time.monotonic() + 60 * settings.minutes
        if distributed.is_main():
            with writing(folder, FIELD):
                self._log = CsvLog(folder / "log.csv", self._columns(), state.step)

    def __call__(self, step: int, row: Row) -> bool:
        """Records one finished step."""
        self._rows.append(row)
        settings, last = self._settings, step == self._settings.steps
        if self._end is not None:  # the clocks of several machines are not one
            last = distributed.broadcast(last or time.monotonic() >= self._end)
        save = last or step % settings.checkpoint_every == 0
        if save or step % settings.log_every == 0:
            count, values = len(self._rows), self._means()
            distributed.on_main(lambda: self._write_row(step, values, count))
        every = settings.preview.every
        show = bool(settings.preview.images) and (last or (every > 0 and step % every == 0))
        if save or show:
            distributed.on_main(lambda: self._write_files(step, save, show))
            self._speed.begin()
        return bool(last)

    def _columns(self) -> tuple[str, ...]:
        own = ("step", "captions", *SHOWN, "student_norm", "fake_norm", "x_0_mean", "x_0_std")
        decoders = [
            f"eps_{name}_{t}" for t in self._plan.timesteps for name in ("mean", "variance")
        ]
        return (*own, *decoders, "learning_rate", *Speed.FIELDS)

    def _means(self) -> dict[str, float]:
        """Over steps and ranks, by column."""
        names = list(self._rows[0])
        means = [torch.stack([row[name] for row in self._rows]).mean(0) for name in names]
        self._rows.clear()
        distributed.average(means)
        if not all(torch.isfinite(mean).all() for mean in means):
            raise UserError(
                f"distil.learning_rate={self._settings.learning_rate}: a loss is not finite before "
                f"step {self._state.step}; choose a smaller one, or a smaller "
                "distil.fake.learning_rate; the last checkpoint is kept"
            )
        found: dict[str, float] = {}
        for name, mean in zip(names, means, strict=True):
            if mean.dim():
                by_decoder = zip(self._plan.timesteps, mean.tolist(), strict=True)
                found |= {f"{name}_{t}": value for t, value in by_decoder}
            else:
                found[name] = mean.item()
        return found

    def _write_row(self, step: int, values: dict[str, float], count: int) -> None:
        settings = self._settings
        row = {name: f"{value:.6g}" for name, value in values.items()}
        row |= {"step": str(step), "captions": str(step * settings.batch_size)}
        row |= {"learning_rate": f"{settings.learning_rate_at(step - 1):.4g}"}
        row |= self._speed.columns(count * settings.batch_size)
        with writing(self._folder, FIELD):
            self._log.append(row)
            self._tracker.row(row)
        shown = ", ".join(f"{name} {values[name]:.4g}" for name in SHOWN)
        log.info("step %d of %d: %s", step, settings.steps, shown)

    def _write_files(self, step: int, save: bool, show: bool) -> None:
        with writing(self._folder, FIELD):
            if show and self._preview is not None:
                student = self._state.network["student"]  # type: ignore[index]
                network = averaged_network(student, self._state.ema.weights)
                path = self._folder / f"preview-{step:07d}.png"
                self._preview.save(network, self._plan, path)
                self._tracker.images("preview", [path], step)
            if save:  # last: what a killed training lacks is made again
                save_checkpoint(self._state, self._folder)
