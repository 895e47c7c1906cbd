"""Kill -9 at any moment, then the same command: byte-equal to an undisturbed run."""

import os
import random
import signal
import time
from functools import partial

import pytest

pytestmark = pytest.mark.slow

WORK = ("run.num_images=40", "run.batch_size=2", "sampler.steps=20")
KILLS = 10


@pytest.fixture(scope="module")
def undisturbed(sample, tmp_path_factory):
    """samples.npz of the work, in one go."""
    run = sample(tmp_path_factory.mktemp("undisturbed") / "run", *WORK)
    return (run / "samples.npz").read_bytes()


@pytest.fixture
def finish(command, undisturbed):
    """finish(directory, processes): the same command to its end; equal, and nothing left over."""

    def check(run, processes: int) -> None:
        ended = command(f"run.dir={run}", *WORK, processes=processes)
        assert ended.returncode == 0, ended.stderr
        assert (run / "samples.npz").read_bytes() == undisturbed
        assert not list(run.rglob(".*.tmp"))
        assert len(list((run / "shards").iterdir())) == 20

    return check


def count(run):
    return len(list(run.glob("shards/*.npz")))


def has_moved_on(run, before: int, process) -> bool:
    return count(run) > before or process.poll() is not None


def test_ten_kills(tmp_path, launch, finish, processes, until):
    """Catches: half files under final names, lost shards, a lock or ranks that stay."""
    run, dice = tmp_path / "run", random.Random(0)
    before = 0
    for number in range(KILLS):
        started = launch(f"run.dir={run}", *WORK, processes=2 if number % 3 == 0 else 0)
        if number % 2:  # while it starts, scans, or samples
            time.sleep(dice.uniform(0.2, 9.0))
        else:  # while it samples, writes, or finishes
            until(partial(has_moved_on, run, before, started))
            time.sleep(dice.uniform(0.0, 0.5))
        started.kill()
        started.wait()
        until(lambda: not processes(tmp_path))
        assert count(run) >= before
        before = count(run)
    finish(run, 2)


def test_one_rank_killed(tmp_path, launch, finish, processes, ranks, until):
    """Catches: a rank that waits for a dead one, and torchrun with it."""
    run = tmp_path / "run"
    launcher = launch(f"run.dir={run}", *WORK, processes=2)
    until(lambda: count(run) > 1, launcher)
    os.kill(ranks(run)[1], signal.SIGKILL)
    until(lambda: launcher.poll() is not None)
    assert launcher.returncode != 0
    until(lambda: not processes(run))
    assert count(run) > 0 and not (run / "samples.npz").exists()
    finish(run, 2)


def test_launcher_killed_at_work(tmp_path, launch, finish, processes, until):
    """Catches: workers that outlive their launcher, and keep the lock."""
    run = tmp_path / "run"
    launcher = launch(f"run.dir={run}", *WORK, processes=2)
    until(lambda: count(run) > 1, launcher)
    assert len(processes(run)) == 3
    launcher.kill()
    launcher.wait()
    until(lambda: not processes(run))
    assert count(run) < 20
    finish(run, 0)


def test_launcher_killed_at_the_start(tmp_path, launch, processes, ranks, until):
    """Catches: workers that look for their parent only once torch is imported, find init, and
    then wait for the store of a dead launcher."""
    run = tmp_path / "run"
    launcher = launch(f"run.dir={run}", *WORK, processes=2)
    until(lambda: len(ranks(run)) == 2, launcher)
    launcher.kill()
    launcher.wait()
    until(lambda: not processes(run))
    assert not (run / "samples.npz").exists()


def test_restart_by_torchrun(tmp_path, launch, undisturbed, ranks, until):
    """Catches: a restarted group that meets the keys, the lock or the files of the first."""
    run = tmp_path / "run"
    launcher = launch(f"run.dir={run}", *WORK, processes=2, restarts=1)
    until(lambda: count(run) > 1, launcher)
    os.kill(ranks(run)[1], signal.SIGKILL)
    until(lambda: launcher.poll() is not None)
    assert launcher.returncode == 0
    assert (run / "samples.npz").read_bytes() == undisturbed
