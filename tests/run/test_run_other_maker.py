"""Runs whose images are made by something that is no denoiser (painter.py): the seam is real."""

import csv
import json

import numpy as np
import pytest
import yaml
from painter import GREYS

from tstitch import load
from tstitch.config.cli import compose
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError
from tstitch.sweep.run import run_sweep

PAIR = {
    "name": "paint",
    "made_by": "painter.Painting",
    "words": ["black", "white", "grey"],
    "evaluation": None,
}
SIZES = ("run.batch_size=4", "run.device=cpu", "engine.threads=1")


@pytest.fixture
def paint(tmp_path):
    """paint(*overrides): a run with this pair; returns its directory."""

    def run(*overrides, pair=PAIR):
        words = ["evaluation=none", *SIZES, f"run.root={tmp_path}", *overrides]
        return run_sampling(compose("sample", words) | {"pair": pair})

    return run


def samples(folder):
    with np.load(folder / "samples.npz") as archive:
        return archive["arr_0"], archive["arr_1"]


def test_in_a_notebook(paint, tmp_path):
    """Catches: the notebook's images that need denoisers, or are not those of a run."""
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "paint.yaml").write_text(yaml.safe_dump(PAIR))
    sampler = load("paint", "evaluation=none", *SIZES, f"hydra.searchpath=[{tmp_path}]")
    images, labels = samples(paint("run.num_images=9"))
    assert np.array_equal(sampler([PAIR["words"][k] for k in labels]), images)


def test_a_run_resumes_and_grows(paint):
    """Catches: shards, resume, grid or report that need a network, a sampler or classes."""
    folder = paint("run.num_images=9", "stitch.fraction=0.5")
    assert folder.parent.name == "paint" and folder.name.startswith("painting-steps2-2-seed0-")
    images, labels = samples(folder)
    greys = [list(GREYS.values())[i] for i in (0, 2, 1)]
    assert labels.tolist() == [0, 1, 2] * 3
    assert np.abs(images.mean((1, 2, 3)) - np.array(greys * 3)).max() < 3
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {n: row["steps"] for n, row in metrics["denoisers"].items()} == {"coarse": 2, "fine": 2}
    assert metrics["flops_ratio_to_all_large"] == 10_000 / 16_000 and metrics["nfe_per_image"] == 4
    assert metrics["protocol"].keys().isdisjoint({"sampler", "guidance"})
    report = (folder / "report.md").read_text()
    assert "- Stitch schedule: Fraction, fraction 0.5" in report and "Sampler" not in report
    assert "- Images: 9 of 3 prompts, classes balanced, seed 0." in report
    assert json.loads((folder / "prompts.json").read_text()) == PAIR["words"]

    whole = (folder / "samples.npz").read_bytes()
    for path in (folder / "samples.npz", folder / "shards" / "00000004-00000008.npz"):
        path.unlink()
    assert paint("run.num_images=9", "stitch.fraction=0.5") == folder
    assert (folder / "samples.npz").read_bytes() == whole
    grown, _ = samples(paint("run.num_images=12", "stitch.fraction=0.5"))
    assert len(grown) == 12 and (grown[:8] == images[:8]).all()
    first = paint("run.num_images=3", "stitch.fraction=0.5")
    assert first == folder / "first-3" and (samples(first)[0] == images[:3]).all()
    assert (first / "prompts.json").is_file()


def test_runs_of_other_prompts_are_other_runs(paint, tmp_path):
    """Catches: an identity of which the maker's own part is left out."""
    folder = f"run.dir={tmp_path}/run"
    paint(folder, "run.num_images=4")
    with pytest.raises(UserError, match=r"belongs to another run \(words"):
        paint(folder, "run.num_images=4", pair=PAIR | {"words": ["white", "black"]})
    paint(folder, "run.num_images=4", "run.overwrite=true", pair=PAIR | {"words": ["white"]})
    assert json.loads((tmp_path / "run" / "prompts.json").read_text()) == ["white"]


def test_a_sweep(tmp_path, measured):
    """Catches: points, times or pages that ask for a sampler or guidance; labels of prompts that
    are taken for the classifier's classes."""
    words = [*measured, *SIZES, f"run.root={tmp_path}", "run.num_images=12"]
    words += ["sweep.fractions=[0,0.5]", "sweep.timing_rounds=1", "sweep.strip=2"]
    folder = run_sweep(compose("sweep", words) | {"pair": PAIR})
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert [row["steps_coarse"] for row in rows] == ["0", "2"]
    assert float(rows[1]["fid"]) != float(rows[0]["fid"]) and rows[1]["fid_difference"]
    assert rows[0]["series"] == "painting, fraction"
    evaluated = json.loads(((folder / rows[0]["run_dir"]) / "evaluation.json").read_text())
    assert "class_accuracy" not in evaluated["metrics"]
    assert (folder / "report.html").stat().st_size > 5000 and (folder / "strip.png").is_file()


def test_what_it_cannot_do_is_refused(paint):
    """Catches: an AttributeError where a budget needs denoisers that can be timed, or where the
    class of a pair is none."""
    with pytest.raises(UserError, match="stitch=budget: the denoisers of pair paint cannot be"):
        paint("stitch=budget", "stitch.speedup=1.5")
    for name, message in (
        ("painter.Nobody", "no such class"),
        ("painter.Painter", "is no Experiment"),
        ("painter.GREYS", "is no class"),
    ):
        with pytest.raises(UserError, match=f"pair.made_by={name}: {message}"):
            paint(pair=PAIR | {"made_by": name})
