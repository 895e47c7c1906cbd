"""Hydra's multirun with a launcher: each point is a process of its own, with a log of its own."""

import pickle
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tstitch.config import cli

LOCAL = ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=15")


def logs(folder: Path) -> list[str]:
    """Of the jobs of a multirun that began there, in the order of their numbers."""
    found = (folder / "runs" / "multirun" / ".submitit").glob("*/*.err")
    return [path.read_text() for path in sorted(found)]


@pytest.mark.slow
def test_points_of_a_sweep(tmp_path, command, whole):
    """Catches: a job that cannot be pickled, one that fails and takes the others along, a
    traceback or no word in its log, an error that the submitter does not get, other bytes."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="not installed")
    words = ("run.dir=null", f"run.root={tmp_path}/runs", "stitch.fraction=0,7,0.4")
    ended = command(*LOCAL, *words, flags=("-m",), cwd=tmp_path)
    line = "error: stitch.fraction=7: choose a number from 0 to 1"
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.splitlines()[1:] == [line]  # after the line about logs
    assert "Traceback" not in ended.stderr
    said = logs(tmp_path)
    [bad] = [text for text in said if "error" in text]
    assert len(said) == 3 and bad.splitlines() == [line]
    runs = list((tmp_path / "runs" / "fashion_mnist").iterdir())
    assert len(runs) == 2
    expected = (whole / "samples.npz").read_bytes()
    assert [(run / "samples.npz").read_bytes() == expected for run in runs].count(True) == 1


def test_the_code_of_a_job_that_failed():
    """Catches: a job whose error is handed on, and which a scheduler takes for completed."""
    code = "from tstitch.runtime import launched; launched.failed(3); print('told')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "told\n"), done.stderr


def test_a_launcher_that_is_not_there(tmp_path, run_script):
    """Catches: "choose one of basic" for a package that is to be installed, a misspelt option
    taken for that."""
    try:
        import hydra_plugins.hydra_submitit_launcher  # noqa: F401

        name, remedy = "submitit_slrm", "choose one of basic, submitit_local, submitit_slurm"
    except ImportError:
        name, remedy = "submitit_slurm", "is not installed; run pip install -e '.[cluster]'"
    ended = run_script("sample.py", "-m", f"hydra/launcher={name}", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == f"error: hydra/launcher={name}: {remedy}\n"


def test_a_job_is_queued_again():
    """Catches: a point that runs out of time and cannot be pickled once more, to go on."""
    job = cli._Job("sample", "tstitch.run.run.run_experiment", ExitStack(), [])
    away = pickle.loads(pickle.dumps(job))
    assert pickle.dumps(pickle.loads(pickle.dumps(away))) == pickle.dumps(away)
