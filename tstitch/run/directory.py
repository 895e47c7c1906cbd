"""The directory of a run: one owner at a time, one fingerprint, its configuration."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tstitch.files.lock import LOCK_FILE, FolderLock
from tstitch.files.writing import json_text, remove_leftovers, write_text, writing_to
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import Experiment
from tstitch.run.claims import FOLDER as WORKERS
from tstitch.run.claims import SILENT_S, workers_alive
from tstitch.run.export import remove_exported
from tstitch.run.shards import NAME, file_names
from tstitch.run.verified import VERIFIED, VerifiedFiles
from tstitch.runtime.errors import UserError
from tstitch.schedules.kinds import is_resolved
from tstitch.scoring.prompts import PROMPTS_FILE

CONFIG_FILE = "config.yaml"
SHARDS = "shards"
SCHEDULE_FILE, SCHEDULE_PICTURE = "schedule.json", "schedule.png"  # of one found by measuring
JOIN_WAIT_S = 120.0  # a thousand workers that begin at once take the lock one after the other
SCHEDULE_FILES = (SCHEDULE_FILE, SCHEDULE_PICTURE)
OWN_FILES = (
    "samples.npz", "grid.png", "metrics.json", "report.md", "evaluation.json", VERIFIED,
    CONFIG_FILE, PROMPTS_FILE,
)  # fmt: skip


@contextmanager
def writing(path: Path, field: str = "run.dir") -> Iterator[None]:
    """Turns an OSError of the block into a UserError that names the directory's field."""
    with writing_to(path, field, f"free space or choose another {field}; finished shards are kept"):
        yield


class RunDirectory:
    """Paths of a run, and the lock that keeps a second run out. Rank 0 opens, or makes, it.

    Attributes:
        identity: of the run, where it is open.
        verified: its files that are known to be whole, where it is open.
    """

    identity: Identity
    verified: VerifiedFiles

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.shards = self.path / SHARDS
        self._lock = FolderLock(self.path, "run.dir", "run")

    def open(self, identity: Identity, config: dict[str, Any], overwrite: bool) -> None:
        """Takes the lock and the directory, or refuses.

        Args:
            identity: what decides the images.
            config: the resolved configuration.
            overwrite: remove what another run left.

        Raises:
            UserError: not writable, in use, or of another fingerprint.
        """
        with writing(self.path):
            self._refuse_foreign()
            self.shards.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            self._refuse_beside_workers()
            for folder in (self.path, self.shards):
                remove_leftovers(folder)
            if overwrite:
                self._clear()
                if not is_resolved(config["stitch"]):
                    for name in SCHEDULE_FILES:
                        (self.path / name).unlink(missing_ok=True)
            self._compare(identity, _Stored(self.path / CONFIG_FILE))
        self.identity = identity
        self.verified = VerifiedFiles(self.path, identity.fingerprint)

    def join(self, identity: Identity, experiment: Experiment, worker: str) -> None:
        """Makes or opens it beside other workers: no lock is kept, nothing of theirs is removed.

        Args:
            worker: name of the one that joins, which counts as alive already.

        Raises:
            UserError: not writable, in use by a run that is no worker, or of another fingerprint.
        """
        with writing(self.path):
            self._refuse_foreign()
            self.shards.mkdir(parents=True, exist_ok=True)
            # A thousand that begin at once wait for each other: reading and writing YAML is not
            # for the time of the lock.
            texts = _config_texts(identity, experiment)
            before = _Stored(self.path / CONFIG_FILE)
            self._lock.take(JOIN_WAIT_S)
            try:
                before = before.now()
                self._compare(identity, before, worker)
                if before.num_images < experiment.run.num_images or not self._holds_images():
                    _write_texts(self.path, texts)
            finally:
                self._lock.release()
        self.identity = identity
        self.verified = VerifiedFiles(self.path, identity.fingerprint)

    def begun_with(self) -> Identity | None:
        """What decides the images that are there; None if there are none, or nobody can tell."""
        try:
            return Identity.read(self.path / CONFIG_FILE) if self._holds_images() else None
        except OSError:
            return None

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keeps other runs out for the block, before the directory is opened.

        Raises:
            UserError: not writable, in use, or somebody else's.
        """
        with writing(self.path):
            self._refuse_foreign()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Gives the lock back."""
        self._lock.release()

    def _refuse_foreign(self) -> None:
        """A directory with files of somebody else's is left alone, even by run.overwrite."""
        if not self.path.is_dir() or (self.path / CONFIG_FILE).is_file():
            return
        # What a run killed at its start leaves is our own.
        foreign = [
            p.name
            for p in self.path.iterdir()
            if p.name not in (SHARDS, LOCK_FILE, WORKERS, *SCHEDULE_FILES)
            and not any(p.match(f".{name}.*tmp") for name in (CONFIG_FILE, *SCHEDULE_FILES))
        ]
        if foreign:
            raise UserError(
                f"run.dir={self.path}: holds {foreign[0]} but no {CONFIG_FILE} of a run; choose "
                "an empty directory"
            )

    def _refuse_beside_workers(self) -> None:
        if alive := workers_alive(self.path):
            raise UserError(
                f"run.dir={self.path}: {len(alive)} worker(s) of a job share it ({alive[0]}); wait "
                f"for them, or end the job: what died without a word counts for {SILENT_S:.0f} s"
            )
        shutil.rmtree(self.path / WORKERS, ignore_errors=True)  # of dead ones

    def _clear(self) -> None:
        shutil.rmtree(self.shards)
        self.shards.mkdir()
        remove_exported(self.path)
        for name in OWN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in self.path.glob("first-*"):
            shutil.rmtree(folder)

    def _compare(self, identity: Identity, stored: "_Stored", worker: str | None = None) -> None:
        """Refuses images, or living workers beside this one, of another fingerprint."""
        if stored.content is None:
            return
        if stored.identity is None:
            raise UserError(
                f"run.dir={self.path}: its {CONFIG_FILE} is damaged; choose another directory, "
                "or run.overwrite=true"
            )
        changed = stored.identity.differences(identity)
        if changed and (self._holds_images() or self._has_others(worker)):
            raise UserError(
                f"run.dir={self.path}: belongs to another run ({'; '.join(changed[:4])}); choose "
                "another directory, or run.overwrite=true"
            )

    def _has_others(self, worker: str | None) -> bool:
        return worker is not None and any(name != worker for name in workers_alive(self.path))

    def _holds_images(self) -> bool:
        whole = (self.path / "samples.npz").exists()
        return whole or any(map(NAME.fullmatch, file_names(self.shards)))


class _Stored:
    """What a directory's config.yaml says.

    Attributes:
        content: None if there is none.
        identity: None if there is none, or it is damaged.
        num_images: -1 where it does not say.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.content = _content(path)
        self.identity = None if self.content is None else Identity.of(self.content)
        self.num_images = -1 if self.content is None else _num_images(self.content)

    def now(self) -> "_Stored":
        """As it is at this moment; nothing is parsed again unless it was written since."""
        return self if _content(self._path) == self.content else _Stored(self._path)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _num_images(content: bytes) -> int:
    try:
        return int(yaml.safe_load(content)["config"]["run"]["num_images"])
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        return -1


def write_config(folder: Path, identity: Identity, experiment: Experiment) -> None:
    """config.yaml: the resolved configuration, and what decides the images with its digest.

    Beside it prompts.json, a list of texts, where labels are indices into prompts.
    """
    _write_texts(folder, _config_texts(identity, experiment))


def _config_texts(identity: Identity, experiment: Experiment) -> dict[str, str]:
    content = identity.stored() | {"config": experiment.config}
    texts = {CONFIG_FILE: yaml.safe_dump(content, sort_keys=False)}
    if experiment.has_prompts:
        texts[PROMPTS_FILE] = json_text(list(experiment.conditions), indent=0)
    return texts


def _write_texts(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        write_text(folder / name, text)
