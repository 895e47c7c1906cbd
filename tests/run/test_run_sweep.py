"""Sweeps: which runs they plan, what they share, what they write, how they resume."""

import csv
import json

import numpy as np
import pytest

from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.sweep.plan import plan_sweep
from tstitch.sweep.run import run_sweep
from tstitch.sweep.settings import SweepSettings

TRIO = ("pair=fashion_mnist_trio", "pair.denoisers.medium.weights=random")
FILES = ("report.html", "report.md", "points.csv", "metrics.png", "pareto.pdf", "strip.png")


@pytest.fixture(scope="module")
def plan(tiny, measured):
    """plan(*overrides): the points of a tiny sweep."""

    def make(*overrides: str):
        return plan_sweep(compose("sweep", [*tiny, *measured, *overrides])).points

    return make


def test_every_combination(plan):
    """Catches: a sampler that keeps another one's steps, runs that are planned twice or not."""
    points = plan(
        "sweep.fractions=[0,0.5]",
        "sweep.samplers=[ddim,dpm_solver]",
        "sweep.steps=[4,5]",
        "sweep.guidance=[1,1.5]",
    )
    found = [
        (
            type(p.experiment.sampler).__name__,
            p.experiment.sampler.steps,
            p.experiment.guidance.scale,
            p.fraction,
        )
        for p in points
    ]
    samplers = ("DDIM", "DPMSolver")
    expected = [(a, b, c, d) for a in samplers for b in (4, 5) for c in (1, 1.5) for d in (0, 0.5)]
    assert sorted(found) == sorted(expected)
    assert len({p.series for p in points}) == 8
    assert {p.series for p in points} >= {"DPM-Solver++ 5 steps, guidance 1.5, fraction"}


def test_own_sampler_keeps_its_overrides(plan):
    """Catches: sampler.order of the command line lost in the points."""
    points = plan("sweep.fractions=[0,1]", "sampler.order=1", "sweep.steps=[4,6]")
    assert {p.experiment.config["sampler"]["order"] for p in points} == {1}


def test_kinds_share_an_all_large_run(plan):
    """Catches: differences of a Table 7 schedule to no baseline or to another protocol's."""
    kinds = "sweep.kinds=[fraction,interleave,large_to_small,decreasing]"
    points = plan("sweep.fractions=[0,0.5]", kinds)
    assert len(points) == 7 and len({p.series for p in points}) == 4
    assert len({p.protocol for p in points}) == 1


def test_simplex_of_three(plan):
    """Catches: the 66 trio configurations of the paper's Fig. 6 short of some, or not summing."""
    config = compose("sweep", ["sweep.simplex=0.1"])["sweep"]
    simplex = SweepSettings.parse(config, context={"num_models": 3}).simplex
    assert len(simplex) == 66 == len(set(simplex)) and (0.4, 0.4, 0.2) in simplex
    assert all(sum(fractions) == pytest.approx(1) for fractions in simplex)
    points = plan(*TRIO, "sweep.simplex=0.5", "sampler.steps=10")
    steps = {p.fractions: tuple(p.experiment.steps_per_denoiser.values()) for p in points}
    assert len(points) == 6
    assert steps[(0.5, 0.5, 0.0)] == (5, 5, 0) and steps[(0.0, 0.0, 1.0)] == (0, 0, 10)


BAD = [
    (["sweep.fractions=[0,1.5]"], "sweep.fractions=", "from 0 to 1"),
    (["sweep.fractions=0.5"], "sweep.fractions=0.5", "write a list"),
    (["sweep.fractions=[0,0]"], "sweep.fractions=", "twice"),
    (["sweep.fractions=[a]"], "sweep.fractions=", "list of numbers"),
    (["sweep.kinds=[half]"], "stitch=half", "choose one of"),
    (["sweep.samplers=[absent]"], "sampler=absent", "choose one of"),
    (["sweep.steps=[0]"], "sweep.steps=", "at least 1"),
    (["sweep.guidance=[-1]"], "sweep.guidance=", "at least 0"),
    (["sweep.strip=-1"], "sweep.strip=-1", "from 0"),
    (["sweep.timing_rounds=-1"], "sweep.timing_rounds=-1", "from 0"),
    (["sweep.dir='a\nb'"], "sweep.dir='a\\nb'", "a path of one line"),
    (["sweep.simplex=0.3"], "sweep.simplex=0.3", "divides 1"),
    (["run.dir=here"], "run.dir=here", "run.root"),
    (["evaluation=none"], "evaluation.reference=null", "statistics"),
    ([*TRIO, "stitch=fractions"], "sweep.fractions=", "sweep.simplex=0.1"),
    (["+sweep.foo=1"], "sweep.foo", "choose one of dir, fractions"),
    (["sweep.kinds=[]"], "sweep.kinds=", "at least one of"),
    (["run.num_images=2"], "run.num_images=2", "at least 4"),
]


@pytest.mark.parametrize(("overrides", "start", "inside"), BAD, ids=lambda v: str(v)[:30])
def test_bad_input(plan, overrides, start, inside):
    with pytest.raises(UserError) as caught:
        plan(*overrides)
    message = str(caught.value)
    assert message.startswith(start) and inside in message, message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_sweep_with_two_processes_resumes_and_extends(tmp_path, tiny, measured, run_script):
    """Catches: points with other noise, a report that mixes points up, runs that start anew."""
    words = [*tiny, *measured, f"run.root={tmp_path}/runs", "sweep.fractions=[0,0.5,1]"]
    words += ["sweep.strip=3", "sweep.timing_rounds=1"]
    done = run_script("sweep.py", *words, processes=2)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "fashion_mnist").glob("sweep-*")
    assert all((folder / name).stat().st_size > 500 for name in FILES)
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert [row["fraction"] for row in rows] == ["0.0", "0.5", "1.0"]
    assert [row["steps_small"] for row in rows] == ["0", "2", "4"]
    assert rows[0]["fid_difference"] == "" and rows[1]["fid_difference"] != ""
    change = float(rows[1]["fid"]) - float(rows[0]["fid"])
    assert float(rows[1]["fid_difference"]) == pytest.approx(change)
    paths = [(folder / row["run_dir"]).resolve() for row in rows]
    labels = [np.load(path / "samples.npz")["arr_1"].tolist() for path in paths]
    assert labels[0] == labels[1] == labels[2]
    shards = {p: p.stat().st_mtime_ns for path in paths for p in (path / "shards").iterdir()}

    again = run_sweep(compose("sweep", [*words, "run.num_images=30"]))
    assert again == folder
    assert all(path.stat().st_mtime_ns == date for path, date in shards.items())
    for path in paths:
        assert json.loads((path / "evaluation.json").read_text())["num_images"] == 30
        metrics = json.loads((path / "metrics.json").read_text())
        assert metrics["protocol"]["processes"] == 2, "the times are not the last command's"
        assert [group["processes"] for group in metrics["timed_in"]] == [2]
        assert "2 processes of 1 CPU thread" in (path / "report.md").read_text()
    timing = (folder / "timing.json").stat().st_mtime_ns
    run_sweep(compose("sweep", [*words, "run.num_images=30"]))
    assert (folder / "timing.json").stat().st_mtime_ns == timing, "measured again for nothing"
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert {row["num_images"] for row in rows} == {"30"}


@pytest.mark.slow
def test_multirun_of_sample_makes_the_same_runs(tmp_path, tiny, measured, sample):
    """Catches: a sweep whose points are not the runs that sample.py would make."""
    words = [*tiny, *measured, f"run.root={tmp_path}/runs", "sweep.fractions=[0.5]"]
    run_sweep(compose("sweep", words))
    folders = [p for p in (tmp_path / "runs" / "fashion_mnist").iterdir() if p.name[:3] == "dpm"]
    single = sample(tmp_path / "single", "stitch.fraction=0.5")
    assert len(folders) == 1
    expected = (single / "samples.npz").read_bytes()
    assert (folders[0] / "samples.npz").read_bytes() == expected
