"""Experiment tracking with Weights & Biases; the only file that knows wandb."""

import csv
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from tstitch.config import fields
from tstitch.files.record import Record
from tstitch.files.writing import writing_to
from tstitch.runtime import distributed
from tstitch.runtime.errors import UserError

MODES = ("online", "offline", "disabled")
RECORD = "tracking.json"
NAME_LETTERS = 128  # of a run, at most
log = logging.getLogger(__name__)


class TrackingSettings(fields.Settings):
    """Where to track to; described in configs/tracking/wandb.yaml."""

    path = "tracking"

    mode: Annotated[str, fields.one_of(MODES)]
    project: fields.Text | None
    entity: fields.Text | None
    group: fields.Text | None
    dir: fields.Text


class TrackedRun(Record):
    """Which of the service's runs a folder belongs to."""

    id: str


class Tracker:
    """What a command tells the tracking service; does nothing without a wandb run."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def progress(self, done: int, total: int) -> None:
        """Number of images made so far, of how many."""
        self.log({"images": done, "images_total": total})

    def log(self, values: dict[str, Any]) -> None:
        """Numbers of the next step."""
        if self._run is not None:
            self._run.log(values)

    def row(self, values: Mapping[str, object]) -> None:
        """A row of a training's table: its numbers at its `step`; earlier steps are passed over."""
        if self._run is not None:
            numbers = {name: float(str(value)) for name, value in values.items()}
            self._run.log(numbers, step=int(numbers.pop("step")))

    def summarize(self, values: dict[str, Any]) -> None:
        """Final numbers, which the project's table shows."""
        if self._run is not None:
            self._run.summary.update(values)

    def images(self, name: str, paths: Sequence[Path], step: int | None = None) -> None:
        """Pictures, at a step of a training."""
        if self._run is not None:
            import wandb

            pictures = [wandb.Image(str(path), caption=path.stem) for path in paths]
            self._run.log({name: pictures}, step=step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table of plain values."""
        if self._run is not None:
            import wandb

            data = [list(row) for row in rows]
            self._run.log({name: wandb.Table(columns=list(columns), data=data)})

    def page(self, name: str, path: Path) -> None:
        """A self-contained HTML page."""
        if self._run is not None:
            import wandb

            self._run.log({name: wandb.Html(path.read_text(encoding="utf-8"), inject=False)})


@contextmanager
def start_tracking(
    settings: TrackingSettings, command: str, config: dict[str, Any], folder: Path | None = None
) -> Iterator[Tracker]:
    """A tracker on rank 0; on the other ranks, or with mode=disabled, one that does nothing.

    Args:
        command: name of the script, the run's job type.
        folder: of a training, which is there: what is resumed in it goes on as the same run.

    Raises:
        UserError: wandb cannot start, on every rank.
    """
    runs: list[Any] = []  # a wandb run cannot be sent to the other ranks
    if settings.mode != "disabled":
        distributed.on_main(lambda: runs.append(_start(settings, command, config, folder)))
    exit_code = 1
    try:
        yield Tracker(runs[0] if runs else None)
        exit_code = 0
    finally:
        for run in runs:
            run.finish(exit_code=exit_code)
            if settings.mode == "offline":
                place = Path(run.dir).parent
                log.info("tracked in %s; upload it with: wandb sync %s", place, place)


def track_sweep(tracker: Tracker, folder: Path) -> None:
    """Reports a finished sweep: its table, plots and page."""
    with (folder / "points.csv").open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    tracker.table("points", columns, rows)
    tracker.images("plots", sorted(folder.glob("*.png")))
    tracker.page("report", folder / "report.html")


def _start(
    settings: TrackingSettings, command: str, config: dict[str, Any], folder: Path | None
) -> Any:
    import wandb

    place = Path(settings.dir)
    options: dict[str, Any] = {}
    group = settings.group
    if folder is not None:
        options = {"name": str(folder)[-NAME_LETTERS:]}
        own = _id_of(folder)
        if settings.mode == "online":
            options |= {"id": own, "resume": "allow"}
        else:  # uploaded under one id, a part would replace the one before it
            group = group or own
    with writing_to(settings.dir, "tracking.dir"):
        place.mkdir(parents=True, exist_ok=True)
        try:
            return wandb.init(
                mode=settings.mode,
                project=settings.project,
                entity=settings.entity,
                group=group,
                dir=place,
                job_type=command,
                config=config,
                reinit="create_new",
                settings=wandb.Settings(silent=True),
                **options,
            )
        except wandb.Error as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"tracking.mode={settings.mode}: wandb cannot start ({reason}); run `wandb login`, "
                "or choose tracking.mode=offline"
            ) from error


def _id_of(folder: Path) -> str:
    """The folder's own run: noted there at first, then read."""
    try:
        return TrackedRun.read(folder / RECORD).id
    except (OSError, ValueError):
        found = TrackedRun(id=uuid.uuid4().hex)
        with writing_to(folder / RECORD, "tracking"):
            found.write(folder / RECORD)
        return found.id
