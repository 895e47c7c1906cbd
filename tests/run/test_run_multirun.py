"""Two processes, and Hydra's multirun: one command, several runs."""

import json

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 0])
def test_two_jobs(tmp_path, command, whole, processes):
    """Catches: noise or batches that depend on the rank, files that two ranks write, a second
    process group for the second job, options that only rank 0 can parse (-m may stand last)."""
    arguments = [f"run.root={tmp_path}/runs", "run.dir=null", "stitch.fraction=0,0.4"]
    words = [*arguments, "-m"] if processes else arguments
    flags = () if processes else ("-m",)
    ended = command(*words, processes=processes, flags=flags, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = sorted((tmp_path / "runs" / "fashion_mnist").iterdir())
    metrics = [json.loads((run / "metrics.json").read_text()) for run in found]
    small = [m["denoisers"]["small"]["steps"] for m in metrics]
    assert sorted(small) == [0, 2]
    assert {m["protocol"]["processes"] for m in metrics} == {processes or 1}
    assert ended.stderr.count("24 of 24 images (100 %)") == 2, ended.stderr
    run = found[small.index(2)]
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    names = sorted(path.name for path in (run / "shards").iterdir())
    assert names == sorted(path.name for path in (whole / "shards").iterdir())
    for name in names:
        with np.load(whole / "shards" / name) as one, np.load(run / "shards" / name) as two:
            assert np.array_equal(one["images"], two["images"])


@pytest.mark.slow
def test_a_job_that_fails(tmp_path, command):
    """Catches: jobs after a bad one that still run, or an exit code of 0."""
    arguments = ["run.dir=null", f"run.root={tmp_path}/runs", "stitch.fraction=0,7,1"]
    ended = command(*arguments, flags=("-m",), cwd=tmp_path)
    errors = [text for text in ended.stderr.splitlines() if text.startswith("error: ")]
    assert ended.returncode == 2
    assert errors == ["error: stitch.fraction=7: choose a number from 0 to 1"], ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(list((tmp_path / "runs" / "fashion_mnist").iterdir())) == 1
