"""Sweeps whose runs were timed under different conditions tell no false speed-up."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tstitch.config.cli import compose
from tstitch.run.shards import listed, read_shard, write_shard
from tstitch.sweep.run import run_sweep

FRACTIONS = (0.0, 0.25, 0.5, 1.0)
SPEED_UP = re.compile(r"\d\.\d\dx")


@pytest.fixture(scope="module")
def run_here(tiny, measured):
    """run_here(folder, *overrides): the report's folder of a sweep whose runs are below it."""
    chosen = f"sweep.fractions={list(FRACTIONS)}".replace(" ", "")
    words = [*tiny, *measured, chosen, "sweep.strip=0"]
    return lambda folder, *more: run_sweep(compose("sweep", [*words, f"run.root={folder}", *more]))


@pytest.fixture(scope="module")
def made(run_here, tmp_path_factory):
    """A sweep without rounds; to be copied, not changed."""
    root = tmp_path_factory.mktemp("made")
    run_here(root, "sweep.timing_rounds=0")
    return root


@pytest.fixture
def sweep(tmp_path, run_here, made):
    """sweep(rounds): reports the copied sweep again, and returns the report's folder."""
    shutil.copytree(made, tmp_path / "runs")
    return lambda rounds=0: run_here(tmp_path / "runs", f"sweep.timing_rounds={rounds}")


@pytest.fixture
def folder(tmp_path, sweep):
    """Of the copied sweep's report."""
    (found,) = (tmp_path / "runs" / "fashion_mnist").glob("sweep-*")
    return found


def retime(folder: Path, change) -> None:
    """Rewrites the times in every run's shards: change(fraction, denoiser's name, seconds of a
    batch), and what else a shard says; the runs' reports are then made anew."""
    for row in csv.DictReader((folder / "points.csv").open()):
        run = folder / row["run_dir"]
        owner = json.loads((run / "metrics.json").read_text())["fingerprint"]
        for unit, path in listed(run / "shards").items():
            shard = read_shard(path, owner)
            shard.times.update(change(float(row["fraction"]), row))
            write_shard(run / "shards", unit, shard)
        (run / "metrics.json").unlink()


def ideal(row: dict[str, str], load: float = 1.0, **more) -> dict:
    """Times of a batch of 8: 10 ms a step of the small denoiser, 100 ms of the large one."""
    seconds = {"denoise/small": 0.01 * int(row["steps_small"]) * load}
    seconds |= {"denoise/large": 0.1 * int(row["steps_large"]) * load, "decode": 0.001}
    return {"seconds": seconds, "warmup": False} | more


def told(folder: Path) -> str:
    """The report's text, and that of the page but for Plotly's."""
    return (folder / "report.md").read_text() + (folder / "report.html").read_text().partition(
        "<script>"
    )[0]


@pytest.mark.slow
def test_steady_times_without_rounds(sweep, folder):
    """Catches: speed-ups refused although nothing speaks against them."""
    retime(folder, lambda fraction, row: ideal(row))
    text = told(sweep())
    assert "1.81x" in text and 'id="pareto-time"' in text and not (folder / "timing.json").exists()


@pytest.mark.slow
def test_points_of_another_number_of_processes(sweep, folder):
    """Catches: reused points of two processes beside points of one, as a speed-up."""

    def change(fraction, row):
        return ideal(row, 0.5 if fraction else 1.0, processes=2 if fraction else 1)

    retime(folder, change)
    text = told(sweep())
    assert not SPEED_UP.search(text) and "Mixed timings: fraction 0 (1 process of" in text
    assert "2 processes of" in text
    # Rounds in turn measure what the runs' own times cannot tell.
    text = told(sweep(2))
    assert "Mixed timings" not in text and 'id="pareto-time"' in text
    content = json.loads((folder / "timing.json").read_text())["measured"]
    assert {len(seconds) for seconds in content["seconds"].values()} == {2}
    assert content["conditions"]["processes"] == 1 and content["conditions"]["threads"] == 1
    assert "1 process of 1 CPU thread" in text and "in 2 rounds in turn" in text


@pytest.mark.parametrize(
    "busy",
    [
        (0.0, 0.25),
        pytest.param((0.0,), marks=pytest.mark.slow),
        pytest.param((0.5, 1.0), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_load_that_changes_in_the_middle(sweep, folder, busy):
    """Catches: the machine's load as a speed-up, in text, table or plot."""
    retime(folder, lambda fraction, row: ideal(row, 2.0 if fraction in busy else 1.0))
    text = told(sweep())
    assert not SPEED_UP.search(text) and 'id="pareto-time"' not in text
    assert "the load of the machine changed" in text and "sweep.timing_rounds=3" in text


def test_shards_that_do_not_tell(sweep, folder):
    """Catches: older runs refused, or their conditions taken for those of this command."""
    for path in folder.parent.glob("dpm*/shards/*.npz"):
        with np.load(path) as data:
            fields = dict(data)
        times = json.loads(str(fields["times"]))
        for name in ("processes", "threads", "engine", "batch_size", "load"):
            del times[name]
        np.savez(path, **(fields | {"times": np.array(json.dumps(times))}))
    for path in folder.parent.glob("dpm*/metrics.json"):
        path.unlink()
    assert "unknown processes and threads on" in told(sweep())
    for path in folder.parent.glob("dpm*/metrics.json"):
        metrics = json.loads(path.read_text())
        assert metrics["protocol"]["processes"] == "unknown"
        del metrics["timed_in"]  # as an older command wrote it
        path.write_text(json.dumps(metrics))
    assert "unknown processes and threads" in told(sweep())
