"""Runs and sweeps of prompts show how well images match them (images of painter.py)."""

import csv
import json

import numpy as np
import pytest
from stand_ins import save_judge

from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.sweep.run import run_sweep

WORDS = ["black", "white", "grey"]
PAIR = {"name": "paint", "made_by": "painter.Painting", "words": WORDS, "evaluation": None}


@pytest.fixture
def words(tmp_path):
    """Overrides of a run that a judge of random weights measures."""
    weights = save_judge(tmp_path / "judge", WORDS)
    real = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    np.savez(tmp_path / "real.npz", real)
    return [
        "evaluation=emoji", f"evaluation.weights={weights}", "evaluation.extractor.side=28",
        f"evaluation.reference={tmp_path / 'real.npz'}", "evaluation.floor=null",
        "evaluation.captions=null", "evaluation.groups=6", "run.batch_size=4", "run.device=cpu",
        "engine.threads=1", f"run.root={tmp_path}", "run.num_images=12",
    ]  # fmt: skip


def test_a_sweep(words):
    """Catches: prompts that do not reach the extractor, a score without paired difference, table,
    plot or column, classes of prompts."""
    words = [*words, "sweep.fractions=[0,0.5]", "sweep.timing_rounds=1", "sweep.strip=2"]
    folder = run_sweep(compose("sweep", words) | {"pair": PAIR})
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert all(float(row["clip_score"]) >= 0 for row in rows) and rows[1]["clip_score_difference"]
    run = folder / rows[0]["run_dir"]
    evaluated = json.loads((run / "evaluation.json").read_text())
    assert len(evaluated["metrics"]["clip_score"]["replicates"]) == 6
    assert "CLIP score (emoji)" in (run / "report.md").read_text()
    assert "CLIP score (emoji)" in (folder / "report.html").read_text()


def test_a_run_is_measured_again_by_another_judge(words, tmp_path):
    """Catches: an evaluation kept though what reads the prompts has changed; one made twice."""
    folder = run_sampling(compose("sample", words) | {"pair": PAIR})
    first = (folder / "evaluation.json").read_bytes()
    run_sampling(compose("sample", words) | {"pair": PAIR})
    assert (folder / "evaluation.json").read_bytes() == first
    weights = save_judge(tmp_path / "other", WORDS, seed=1)
    again = [w for w in words if "weights" not in w] + [f"evaluation.weights={weights}"]
    assert run_sampling(compose("sample", again) | {"pair": PAIR}) == folder
    identities = [
        json.loads(text)["identity"]["extractor"]
        for text in (first, (folder / "evaluation.json").read_bytes())
    ]
    assert identities[0]["text_sha256"] != identities[1]["text_sha256"]
