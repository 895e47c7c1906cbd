"""Fewer images than a run has: the first of them get their own folder, the run stays whole."""

import json
import shutil

import numpy as np
import pytest
import yaml

from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.sweep.run import run_sweep


@pytest.fixture(scope="module")
def scored(sample, measured, tmp_path_factory):
    """24 images with their evaluation; to be copied."""
    return sample(tmp_path_factory.mktemp("scored") / "run", *measured)


def contents(folder, but=()):
    """Bytes of every file below a folder, those of named folders left out."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock" and not set(but) & {q.name for q in p.parents}
    }


def stored(folder):
    with np.load(folder / "samples.npz") as archive:
        return archive["arr_0"], archive["arr_1"]


@pytest.mark.parametrize("keep", ["true", "false"])
def test_the_larger_run_stays(scored, sample, measured, tmp_path, caplog, keep):
    """Catches: samples.npz, evaluation or report of the larger run replaced by those of fewer
    images, config.yaml too; shards removed for a smaller request; no word about it."""
    run = shutil.copytree(scored, tmp_path / "run")
    sample(run, *measured, f"run.keep_shards={keep}")
    before = contents(run)
    with caplog.at_level("INFO", logger="tstitch"):
        own = sample(run, *measured, "run.num_images=10", f"run.keep_shards={keep}")
    assert contents(run, ["first-10"]) == before
    assert own == run / "first-10"
    assert f"{run}: keeps its 24 images; the first 10 go to {own}" in caplog.text
    assert "FID (Fashion-MNIST classifier)" in caplog.text and "of 24 images" not in caplog.text
    for one, other in zip(stored(own), stored(run), strict=True):
        assert np.array_equal(one, other[:10])
    evaluation = json.loads((own / "evaluation.json").read_text())
    assert evaluation["num_images"] == 10
    assert json.loads((own / "metrics.json").read_text())["protocol"]["num_images"] == 10
    assert "10 stitched images" in (own / "report.md").read_text()
    config = yaml.safe_load((own / "config.yaml").read_text())["config"]
    assert config["run"]["num_images"] == 10
    # Again: nothing is computed; the larger one: as it was.
    first = contents(own)
    caplog.clear()
    with caplog.at_level("INFO", logger="tstitch"):
        sample(run, *measured, "run.num_images=10", f"run.keep_shards={keep}")
        assert sample(run, *measured, f"run.keep_shards={keep}") == run
    assert "evaluating" not in caplog.text and "0 of 24 images to sample" in caplog.text
    assert contents(own) == first and contents(run, ["first-10"]) == before


def test_the_same_bytes_as_a_run_of_that_many(whole, sample, tmp_path):
    """Catches: first images that are not those of the smaller run."""
    run = sample(tmp_path / "run", "run.num_images=40")
    own = sample(run, "run.num_images=24")
    assert (own / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert (own / "grid.png").read_bytes() == (whole / "grid.png").read_bytes()


def test_exported_images(scored, sample, tmp_path):
    """Catches: PNGs of the larger run that vanish, or that stand beside the fewer ones."""
    run = shutil.copytree(scored, tmp_path / "run")
    sample(run, "run.export=png")
    own = sample(run, "run.num_images=10", "run.export=png")
    assert len(list((run / "images").iterdir())) == 24
    assert len(list((own / "images").iterdir())) == 10


def test_a_damaged_larger_run_is_mended(scored, sample, measured, tmp_path):
    """Catches: damaged images in the larger samples.npz that are replaced by the few asked for,
    or copied to them, though their shards are there."""
    run = shutil.copytree(scored, tmp_path / "run")
    whole = (run / "samples.npz").read_bytes()
    middle = len(whole) // 2
    damaged = (
        whole[:middle] + bytes(byte ^ 255 for byte in whole[middle:][:8]) + whole[middle + 8 :]
    )
    (run / "samples.npz").write_bytes(damaged)
    own = sample(run, *measured, "run.num_images=10")
    assert own == run / "first-10" and (run / "samples.npz").read_bytes() == whole
    assert np.array_equal(stored(own)[0], stored(run)[0][:10])


@pytest.mark.parametrize("lost", ["grid.png", "metrics.json"])
def test_a_lost_file_of_a_larger_run_without_shards(scored, sample, images, lost, tmp_path):
    """Catches: a larger run that is only samples.npz, and of which another file is to be made,
    taken for one whose shards are there."""
    run = shutil.copytree(scored, tmp_path / "run")
    before = images(run).copy()
    sample(run, "run.keep_shards=false")
    (run / lost).unlink()
    own = sample(run, "run.num_images=10", "run.keep_shards=false")
    assert (run / lost).is_file() and np.array_equal(images(run), before)
    assert np.array_equal(images(own), before[:10])


def test_fewer_images_of_a_larger_run_that_was_stopped(scored, sample, tmp_path):
    """Catches: run.keep_shards=false that removes what the larger run has made already."""
    run = shutil.copytree(scored, tmp_path / "run")
    (run / "samples.npz").unlink()
    (run / "shards" / "00000016-00000024.npz").unlink()
    assert sample(run, "run.num_images=10", "run.keep_shards=false") == run
    assert (run / "shards" / "00000008-00000016.npz").is_file()
    sample(run, "run.keep_shards=false")
    assert len(stored(run)[0]) == 24 and not list((run / "shards").iterdir())


def test_first_images_of_a_former_run_are_not_taken(scored, sample, images, tmp_path):
    """Catches: the first images of a run that was removed by hand, given out for those of another
    run in the same directory."""
    run = shutil.copytree(scored, tmp_path / "run")
    own = sample(run, "run.num_images=10")
    former = images(own).copy()
    (run / "samples.npz").unlink()
    shutil.rmtree(run / "shards")
    sample(run, "run.seed=77")
    assert sample(run, "run.num_images=10", "run.seed=77") == own
    assert np.array_equal(images(own), images(run)[:10])
    assert not np.array_equal(images(own), former)


def test_overwrite_starts_anew(scored, sample, tmp_path):
    """Catches: first images of the former run beside those of the new one."""
    run = shutil.copytree(scored, tmp_path / "run")
    sample(run, "run.num_images=10")
    assert sample(run, "run.num_images=12", "run.overwrite=true") == run
    assert len(stored(run)[0]) == 12 and not list(run.glob("first-*"))


def test_another_run_is_refused_as_before(scored, refusal, tmp_path):
    """Catches: fewer images of another seed taken for the first of this run."""
    run = shutil.copytree(scored, tmp_path / "run")
    assert "run.seed: 0 -> 1" in refusal(run, "run.seed=1", "run.num_images=10")
    assert not list(run.glob("first-*"))


@pytest.mark.slow
def test_two_processes(scored, command, tmp_path):
    """Catches: a rank that samples, or that looks for the files in the run itself."""
    run = shutil.copytree(scored, tmp_path / "run")
    before = contents(run)
    done = command(f"run.dir={run}", "run.num_images=10", processes=2)
    assert done.returncode == 0, done.stderr
    assert "keeps its 24 images" in done.stderr
    assert contents(run, ["first-10"]) == before and len(stored(run / "first-10")[0]) == 10


@pytest.mark.slow
def test_sweep_of_fewer_images(tiny, measured, tmp_path):
    """Catches: a sweep whose report, tables and runs are replaced by those of fewer images, in
    particular where a schedule's folder has the name of every other's."""

    def sweep(count: int, *words: str):
        own = [f"run.root={tmp_path}", "sweep.fractions=[0,1]", f"run.num_images={count}", *words]
        return run_sweep(compose("sweep", [*tiny, *measured, *own]))

    large = sweep(16)
    before = contents(tmp_path)
    small = sweep(8)
    assert small == large / "first-8"
    assert contents(tmp_path, ["first-8"]) == before
    rows = (small / "points.csv").read_text().splitlines()
    assert len(rows) == 3 and all(row.count("first-8") == 1 for row in rows[1:])
    for name in ("report.html", "report.md", "strip.png"):
        assert (small / name).is_file()
    assert sweep(16) == large and contents(tmp_path, ["first-8"]) == before


def test_fewer_than_can_be_evaluated(scored, sample, measured, tmp_path):
    """Catches: an evaluation of the larger run that passes for one of two images."""
    run = shutil.copytree(scored, tmp_path / "run")
    own = sample(run, *measured, "run.num_images=2")
    assert own == run / "first-2" and not (own / "evaluation.json").exists()
    with pytest.raises(UserError):
        run_sweep(compose("sweep", [f"run.root={tmp_path}", "run.num_images=2"]))
