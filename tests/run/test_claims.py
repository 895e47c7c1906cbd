"""Claims of workers that share a run, and what a process is started as."""

import os
import subprocess
import sys
import time

import pytest

from tstitch.run import claims
from tstitch.run.claims import ALIVE, CLAIM, FOLDER, Claims, workers_alive
from tstitch.runtime import workers
from tstitch.runtime.errors import UserError
from tstitch.runtime.workers import Worker, independent, refuse_tasks


def test_one_has_it(tmp_path):
    """Catches: a batch that two living workers make, one that is lost when it is given back."""
    with Claims(tmp_path) as first, Claims(tmp_path) as second:
        assert first.name != second.name and len(workers_alive(tmp_path)) == 2
        assert first.take("a") and first.take("a") and not second.take("a")
        first.give_back("a")
        assert second.take("a") and not first.take("a")
    assert not (tmp_path / FOLDER).exists()


def test_a_worker_that_leaves_has_nothing(tmp_path):
    """Catches: claims that outlive their worker, claims of others that go with it."""
    with Claims(tmp_path) as stays:
        with Claims(tmp_path) as leaves:
            assert leaves.take("a") and stays.take("b")
        assert workers_alive(tmp_path) == [stays.name]
        assert [p.name for p in (tmp_path / FOLDER).glob(f"*{CLAIM}")] == [f"b{CLAIM}"]
        assert stays.take("a")


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_worker_of_this_machine(tmp_path, request, reaped):
    """Catches: minutes of waiting for a process that is known to be gone, or whose parent has not
    asked for its end yet."""
    code = (
        "import os, sys; from pathlib import Path; from tstitch.run.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); claims.__enter__(); claims.take('a'); os._exit(9)"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    command = [sys.executable, "-c", code, str(tmp_path)]
    if reaped:
        subprocess.run(command, cwd=root)
    else:
        request.addfinalizer(subprocess.Popen(command, cwd=root).wait)
        end = time.monotonic() + 300
        while not list(tmp_path.glob(f"{FOLDER}/*{CLAIM}")) or workers_alive(tmp_path):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    assert workers_alive(tmp_path) == []
    with Claims(tmp_path) as other:
        assert other.take("a")


@pytest.mark.parametrize(("silent", "taken"), [(100, False), (400, True)])
def test_a_silent_worker_of_another_machine(tmp_path, silent, taken):
    """Catches: work taken from a living worker, or never from a dead one."""
    with Claims(tmp_path) as here:
        there = tmp_path / FOLDER / f"elsewhere-12-34{ALIVE}"
        (tmp_path / FOLDER / f"a{CLAIM}").write_text("elsewhere-12-34")
        there.touch()
        moment = there.stat().st_mtime - silent
        os.utime(there, (moment, moment))
        assert here.take("a") is taken
        assert (len(workers_alive(tmp_path)) == 2) is not taken


def test_a_claim_without_a_name(tmp_path, monkeypatch):
    """Catches: a worker killed while it wrote its name, whose batch nobody makes."""
    monkeypatch.setattr(claims.time, "sleep", lambda seconds: None)
    with Claims(tmp_path) as here:
        (tmp_path / FOLDER / f"a{CLAIM}").touch()
        assert here.take("a")


SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
ARRAY = {"SLURM_ARRAY_TASK_COUNT": "5", "SLURM_ARRAY_TASK_ID": "7"}


@pytest.mark.parametrize(
    ("environment", "worker"),
    [
        ({}, None),
        (SRUN, Worker(3, 4)),
        (ARRAY, Worker(2, 5)),
        (SRUN | ARRAY, Worker(11, 20)),
        (SRUN | {"RANK": "0"}, None),
        # A batch script itself, of a job of four tasks.
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1"}, None),
        (ARRAY | {"SUBMITIT_EXECUTOR": "slurm"}, None),  # of different runs
        (SRUN | ARRAY | {"SUBMITIT_EXECUTOR": "slurm"}, Worker(3, 4)),
        ({"JOB_COMPLETION_INDEX": "2"}, Worker(2, None)),
    ],
)
def test_what_it_was_started_as(environment, worker):
    """Catches: torchrun's processes, or a command alone in a batch script, taken for workers."""
    assert independent(environment) == worker


def test_other_commands(monkeypatch):
    """Catches: tasks of srun that all do the same, of which all but one wait for a lock."""
    monkeypatch.delenv("RANK", raising=False)
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    assert workers.on_this_machine() == 1
    with pytest.raises(UserError, match=r"^SLURM_STEP_NUM_TASKS=4: .* scripts/sweep.py as one"):
        refuse_tasks("sweep")
    monkeypatch.setenv("RANK", "0")
    refuse_tasks("sweep")
