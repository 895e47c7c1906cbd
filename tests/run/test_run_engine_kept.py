"""engine=auto by the length of a run, and directories that go on with what they were begun with.

The rule is for GPUs; here the CPU takes its place, with a lower threshold.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tstitch.engine import worth

SHORT, LONG = "run.num_images=8", "run.num_images=24"  # 4 and 12 evaluations of a batch


@pytest.fixture(autouse=True)
def rule(monkeypatch):
    """Runs from 12 evaluations of a batch on are compiled, on the CPU too."""
    monkeypatch.setattr(worth, "PREPARED_ON", ("cuda", "cpu"))
    monkeypatch.setattr(worth, "LEAST_EVALUATIONS", 12)


def compiled(run: Path) -> bool:
    engine = yaml.safe_load((run / "config.yaml").read_text())["decides"]["engine"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["protocol"]["engine"]["compile"] == engine["compile"]
    return engine["compile"]


def test_extended_run_keeps_its_engine(tmp_path, sample, images, whole):
    """Catches: a short run that is refused, or half compiled, once it grows."""
    run = sample(tmp_path / "run", SHORT)
    assert not compiled(run)
    before = images(run).copy()
    sample(tmp_path / "run", LONG)
    assert not compiled(run)
    assert np.array_equal(images(run)[:8], before)
    assert np.array_equal(images(run), images(whole))  # which is not compiled either


@pytest.mark.slow
def test_resumed_run_keeps_its_engine(tmp_path, sample, images):
    """Catches: a choice by the images that are left, which differs after a kill."""
    run = sample(tmp_path / "run", LONG)
    assert compiled(run)
    before = (run / "samples.npz").read_bytes()
    (run / "samples.npz").unlink()
    (run / "shards" / "00000008-00000016.npz").unlink()
    worth.LEAST_EVALUATIONS = 1000  # as with more processes, or another release
    sample(tmp_path / "run", LONG)
    assert compiled(run)
    assert (run / "samples.npz").read_bytes() == before


@pytest.mark.parametrize("stitch", [(), ("stitch=budget", "stitch.speedup=1.05")])
def test_derived_directory_is_found_again(tmp_path, sample, stitch):
    """Catches: a second directory, with all images made again, when a short run grows."""
    derived = ("run.dir=null", f"run.root={tmp_path / 'runs'}", *stitch)
    run = sample(tmp_path, *derived, SHORT)
    assert sample(tmp_path, *derived, LONG) == run and not compiled(run)


def test_overwrite_decides_anew(tmp_path, sample):
    """Catches: a directory that can never get rid of its engine."""
    run = sample(tmp_path / "run", SHORT)
    sample(tmp_path / "run", LONG, "run.overwrite=true")
    assert compiled(run)


def test_another_run_is_refused_for_what_differs(tmp_path, sample, refusal):
    """Catches: an engine named among the differences that auto would have kept."""
    sample(tmp_path / "run", SHORT)
    message = refusal(tmp_path / "run", LONG, "run.seed=1")
    assert "run.seed: 0 -> 1" in message and "engine" not in message
    asked = refusal(tmp_path / "run", LONG, "engine.compile=true")
    assert "engine.compile: false -> true" in asked
