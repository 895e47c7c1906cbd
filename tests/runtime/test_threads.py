"""CPU threads: one rule for all processes of a machine, and waiting that leaves the cores alone."""

import math
import os
import subprocess
import sys

import pytest
import torch

from tstitch.runtime.threads import least_quota

CHOOSE = """
import os, sys
from tstitch.runtime import threads
print(threads.choose_threads(None, 64), threads.choose_threads(7, 64), threads.available_cores())
"""
ANNOUNCE = """
from tstitch.runtime import threads
threads.announce()
print("here", flush=True)
input()
"""


@pytest.fixture
def surroundings(tmp_path):
    """surroundings(**variables): an environment without OMP_NUM_THREADS and other commands."""

    def build(**variables: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        return kept | {"TMPDIR": str(tmp_path)} | variables

    return build


def chosen(environment: dict[str, str]) -> tuple[int, int, int]:
    run = subprocess.run(
        [sys.executable, "-c", CHOOSE], env=environment, capture_output=True, text=True
    )
    auto, asked, cores = map(int, run.stdout.split())
    return auto, asked, cores


@pytest.mark.parametrize("given", [None, "1", "2"])
def test_threads_of_two_processes(given, surroundings):
    """Catches: ranks that each take all cores, or the one thread that torchrun gives them."""
    own = {"LOCAL_WORLD_SIZE": "2"} | ({"OMP_NUM_THREADS": given} if given else {})
    auto, asked, cores = chosen(surroundings(**own))
    assert asked == 7
    # torch's own number is given as 64 here; it has read OMP_NUM_THREADS itself.
    assert auto == (64 if given == "2" else max(1, cores // 2))


@pytest.mark.parametrize("processes", [1, 3])
def test_two_commands_on_one_machine(processes, surroundings, tmp_path):
    """Catches: a second launcher that doubles the threads, ranks that count as one process, a
    command that is counted after its end, or one that counts itself."""
    first = surroundings(LOCAL_WORLD_SIZE=str(processes))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", ANNOUNCE], env=first, **pipes) as holder:
        assert holder.stdout.readline() == "here\n"
        [note] = tmp_path.glob("tstitch-*/*")
        auto, asked, cores = chosen(surroundings())
        assert auto == max(1, cores // (1 + processes)) and asked == 7
        assert chosen(surroundings(OMP_NUM_THREADS="5"))[0] == 64  # the user's own number
        holder.communicate("\n")
    assert chosen(surroundings())[0] == cores
    assert not note.exists()


def test_other_cores_are_no_ones_concern(surroundings, tmp_path):
    """Catches: jobs of one machine with cores of their own that halve each other's threads."""
    holder = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCE], env=surroundings(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout.readline() == "here\n"
        [note] = tmp_path.glob("tstitch-*/*")
        launcher, processes, mask = note.name.split(".")
        elsewhere = 1 << (max(os.sched_getaffinity(0)) + 1)
        note.rename(note.with_name(f"{launcher}.{processes}.{elsewhere:x}"))
        auto, _, cores = chosen(surroundings())
        assert auto == cores
        holder.communicate("\n")


@pytest.mark.parametrize("policy", [None, pytest.param("ACTIVE", marks=pytest.mark.slow)])
def test_commands_wait_passively(policy, run_script, environment, tmp_path, monkeypatch):
    """Catches: threads that spin while they wait, on cores that others need; the user's own
    choice overwritten. OpenMP itself says what it has read."""
    monkeypatch.setitem(environment, "OMP_DISPLAY_ENV", "TRUE")
    if policy:
        monkeypatch.setitem(environment, "OMP_WAIT_POLICY", policy)
    done = run_script("sample.py", "run.num_images=0", f"run.root={tmp_path}")
    assert done.returncode == 2 and "run.num_images=0" in done.stderr
    if torch.backends.openmp.is_available():
        assert f"OMP_WAIT_POLICY = '{policy or 'PASSIVE'}'" in done.stderr


def test_quota_of_a_control_group(tmp_path):
    """Catches: 64 threads in a container that has the time of two cores."""
    root, group = tmp_path, tmp_path / "pod" / "container"
    group.mkdir(parents=True)
    assert least_quota(group, root) == math.inf
    (group / "cpu.max").write_text("max 100000\n")
    assert least_quota(group, root) == math.inf
    (root / "pod" / "cpu.max").write_text("150000 100000\n")
    assert least_quota(group, root) == 1.5
    (group / "cpu.max").write_text("50000 100000\n")
    assert least_quota(group, root) == 0.5
