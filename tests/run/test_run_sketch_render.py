"""Runs whose images decide their own steps: kept, resumed, counted and reported."""

import csv
import json
import shutil

import numpy as np
import pytest

from tstitch.api import load
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.sweep.run import run_sweep

STEPS = 12
SIZES = ("sampler=ddim", f"sampler.steps={STEPS}", "run.num_images=10", "run.batch_size=4")
SKETCH = ("stitch=sketch_render", *SIZES)
OPEN = (*SKETCH, "stitch.earliest=2", "stitch.latest=8")


@pytest.fixture(scope="module")
def decided(sample, tmp_path_factory):
    """A finished run of 10 images in batches of 4; to be copied, not changed."""
    return sample(tmp_path_factory.mktemp("decided") / "run", *OPEN)


@pytest.fixture
def copy(decided, tmp_path):
    return shutil.copytree(decided, tmp_path / "run")


def read_metrics(run):
    return json.loads((run / "metrics.json").read_text())


def steps_of(run):
    """Steps of small and large of each image, (N, 2)."""
    with np.load(run / "samples.npz") as archive:
        return archive["steps"]


def check_counts(run):
    """metrics.json and report.md are of the steps in samples.npz."""
    steps, metrics = steps_of(run), read_metrics(run)
    assert (steps.sum(1) == STEPS).all() and len(steps) == metrics["protocol"]["num_images"]
    report, work = (run / "report.md").read_text(), 0.0
    for own, (name, row) in zip(steps.T, metrics["denoisers"].items(), strict=True):
        assert row["steps"] == own.mean() and row["steps_range"] == [own.min(), own.max()]
        assert row["evaluations_per_image"] == 2 * own.mean()
        work += 2 * own.mean() * row["flops_per_evaluation"]
        assert f"| {name} | {own.mean():g} ({own.min()} to {own.max()}) | " in report
    assert metrics["nfe_per_image"] == 2 * STEPS
    assert metrics["flops_per_image"] == pytest.approx(work, abs=1)
    assert metrics["gmacs_per_image"] == pytest.approx(work / 2e9)
    whole = 2 * STEPS * metrics["denoisers"]["large"]["flops_per_evaluation"]
    assert metrics["flops_ratio_to_all_large"] == pytest.approx(work / whole)
    assert (
        "earliest 2, latest 8, tolerance 0.01" in report and f"- NFE: {2 * STEPS} network" in report
    )
    assert "Each image decided its own steps" in report


def test_realised_steps_are_counted(decided):
    """Catches: numbers of the plan, which is an upper bound, in place of what ran."""
    check_counts(decided)
    steps = steps_of(decided)
    assert len(set(steps[:, 1].tolist())) > 2 and steps.dtype == np.int32


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes(tmp_path, command, decided, processes):
    """Catches: decisions or counts that depend on the rank; a rank whose counts are lost."""
    run = tmp_path / "run"
    done = command(f"run.dir={run}", *OPEN, processes=processes)
    assert done.returncode == 0, done.stderr
    assert (run / "samples.npz").read_bytes() == (decided / "samples.npz").read_bytes()
    assert read_metrics(run)["denoisers"] == read_metrics(decided)["denoisers"]


@pytest.mark.slow
def test_resumed(copy, command, sample, decided, caplog):
    """Catches: a resumed run without the steps of the images that were there."""
    for name in ("samples.npz", "shards/00000004-00000008.npz", "metrics.json", "report.md"):
        (copy / name).unlink()
    done = command(f"run.dir={copy}", *OPEN, processes=2)
    assert done.returncode == 0 and "4 of 10 images to sample" in done.stderr, done.stderr
    assert (copy / "samples.npz").read_bytes() == (decided / "samples.npz").read_bytes()
    check_counts(copy)
    with caplog.at_level("INFO", logger="tstitch"):
        sample(copy, *OPEN)
    assert "0 of 10 images to sample" in caplog.text


def test_extended_without_shards(copy, sample, decided):
    """Catches: steps that go with the shards that held them."""
    sample(copy, *OPEN, "run.keep_shards=false")
    assert list((copy / "shards").iterdir()) == []
    before = (copy / "samples.npz").stat().st_mtime_ns
    sample(copy, *OPEN)
    assert (copy / "samples.npz").stat().st_mtime_ns == before
    sample(copy, *OPEN, "run.num_images=12")
    assert np.array_equal(steps_of(copy)[:10], steps_of(decided)) and len(steps_of(copy)) == 12
    check_counts(copy)


def test_first_images(copy, sample, decided):
    """Catches: the whole run's counts in the folder of its first images; a run that shrinks."""
    first = sample(copy, *OPEN, "run.num_images=6")
    assert first == copy / "first-6"
    assert np.array_equal(steps_of(first), steps_of(decided)[:6])
    check_counts(first)
    check_counts(copy)


def test_another_batch_size(copy, sample, decided, images):
    """Catches: decisions of the batch; rows of a shard that are taken without their steps."""
    (copy / "samples.npz").unlink()
    (copy / "shards" / "00000000-00000004.npz").unlink()
    sample(copy, *OPEN, "run.batch_size=3")
    assert np.array_equal(steps_of(copy), steps_of(decided))
    levels = np.abs(images(copy).astype(int) - images(decided).astype(int))
    assert np.mean(levels <= 1) >= 0.999
    check_counts(copy)


@pytest.mark.parametrize(
    ("options", "fraction", "large"),
    [("stitch.latest=0", 1, 0), (f"stitch.earliest={STEPS}", 0, STEPS)],
)
def test_ends(tmp_path, sample, images, options, fraction, large):
    """Catches: other bytes than the planned runs' where nothing is left to decide."""
    few = ("run.num_images=5",)
    online = sample(tmp_path / "online", *SKETCH, options, *few)
    planned = sample(tmp_path / "planned", *SIZES, f"stitch.fraction={fraction}", *few)
    assert np.array_equal(images(online), images(planned))
    assert (steps_of(online) == [STEPS - large, large]).all()
    own, other = read_metrics(online), read_metrics(planned)
    for key in ("nfe_per_image", "flops_per_image", "gmacs_per_image", "flops_ratio_to_all_large"):
        assert own[key] == other[key], key


@pytest.mark.slow
def test_static_shapes(tmp_path, sample, decided, images):
    """Catches: padding that is counted or decides; rows of the wrong denoiser; a network that is
    not compiled because the plan, all large, does not name it."""
    few = ("run.num_images=7", "engine.compile=true")
    run = sample(tmp_path / "run", *OPEN, *few)
    assert np.array_equal(steps_of(run), steps_of(decided)[:7])
    assert np.abs(images(run).astype(int) - images(decided)[:7]).max() <= 1
    check_counts(run)
    assert "both denoisers compute the whole batch" in (run / "report.md").read_text()
    whole = sample(tmp_path / "whole", *SKETCH, *few, f"stitch.latest={STEPS}")
    assert set(read_metrics(whole)["seconds_per_image"]["prepared"]) == {"small", "large"}


def test_what_decides_is_in_the_fingerprint(tmp_path, sample, copy, refusal):
    """Catches: a run resumed under another tolerance; a name that promises planned steps."""
    message = refusal(copy, *OPEN, "stitch.tolerance=0.05")
    assert "belongs to another run (stitch.tolerance: 0.01 -> 0.05)" in message
    derived = ("run.dir=null", f"run.root={tmp_path}/runs", "run.num_images=1")
    folders = {sample(tmp_path, *OPEN, *derived, *own).name for own in ([], ["stitch.latest=6"])}
    assert len(folders) == 2
    assert all(name.startswith(f"ddim{STEPS}-sketchrender-cfg1.5-seed0-") for name in folders)


@pytest.mark.slow
def test_a_sweep(tmp_path, tiny, measured):
    """Catches: points of the plan; an all-large plan that is taken for the all-large run."""
    words = [*tiny, *measured, *SIZES, f"run.root={tmp_path}", "sweep.fractions=[0]"]
    words += ["sweep.kinds=[fraction,sketch_render]", "sweep.timing_rounds=1", "sweep.strip=2"]
    folder = run_sweep(compose("sweep", words))
    with (folder / "points.csv").open() as file:
        planned, own = csv.DictReader(file)
    assert planned["steps_large"] == str(STEPS) and 3 <= float(own["steps_large"]) < STEPS
    assert own["fid_difference"] != "" and planned["fid_difference"] == ""
    assert "sketch_render" in (folder / "report.md").read_text()


@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_guided_by_the_small_one(tmp_path, command, sample, images, processes):
    """Catches: a guide that is given other images than those of the large denoiser's steps, or
    whose evaluations are not counted; ranks that decide differently."""
    words = (*OPEN, "stitch.tolerance=0.03", "guidance=auto")
    run = tmp_path / "run"
    done = command(f"run.dir={run}", *words, processes=processes)
    assert done.returncode == 0, done.stderr
    steps = steps_of(run)
    assert len(set(steps[:, 1].tolist())) > 1
    for large in set(steps[:, 1].tolist()):
        plan = f"stitch.models={[1] * large + [0] * (STEPS - large)}"
        planned = sample(tmp_path / str(large), *SIZES, "stitch=explicit", plan, "guidance=auto")
        own = steps[:, 1] == large
        levels = np.abs(images(planned)[own].astype(int) - images(run)[own])
        assert levels.max() <= 1
    rows = read_metrics(run)["denoisers"]
    counts = [rows[name]["evaluations_per_image"] for name in ("small", "large")]
    assert counts == [STEPS, steps[:, 1].mean()]
    flops = sum(row["evaluations_per_image"] * row["flops_per_evaluation"] for row in rows.values())
    assert read_metrics(run)["flops_per_image"] == pytest.approx(flops, abs=1)


def test_in_a_notebook(tiny, decided, images):
    """Catches: the plan given for the steps that ran; other images than a run's."""
    sampler = load("fashion_mnist", *tiny, *OPEN)
    assert np.array_equal(sampler([k % 10 for k in range(10)]), images(decided))
    with pytest.raises(UserError, match="each image decides its own steps"):
        _ = sampler.steps_per_denoiser
