"""A run evaluates its images at its end: values, intervals, resuming, bad inputs."""

import json

import numpy as np
import pytest

from tstitch.pair.weights import PRETRAINED
from tstitch.run.metrics import RunMetrics
from tstitch.scoring.evaluation import Evaluation


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Sixty grey images as a reference."""
    path = tmp_path_factory.mktemp("reference") / "real.npz"
    grey = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)
    np.savez(path, arr_0=np.repeat(grey, 3, axis=3))
    return path


@pytest.fixture(scope="session")
def measured(reference):
    """Overrides that evaluate a tiny run."""
    return (
        "evaluation=pair",
        f"evaluation.reference={reference}",
        "evaluation.floor=null",
        "evaluation.groups=6",
    )


def evaluation_of(folder):
    return json.loads((folder / "evaluation.json").read_text())


def test_evaluates_by_default_and_resumes(tmp_path, sample, measured):
    """Catches: a run without its FID report, numbers of fewer images after an extension, a second
    evaluation of what is measured already, a report that loses its table or is written again."""
    folder = sample(tmp_path / "run", *measured)
    first = evaluation_of(folder)
    assert first["num_images"] == 24 and first["groups"] == 6
    names = {entry["name"] for entry in first["metrics"].values()}
    assert "FID (Fashion-MNIST classifier)" in names and len(names) == 8
    for entry in first["metrics"].values():
        assert entry["low"] <= entry["value"] <= entry["high"] and len(entry["replicates"]) == 6
    assert "FID (Fashion-MNIST classifier)" in (folder / "report.md").read_text()
    written = (folder / "evaluation.json").stat().st_mtime_ns
    (folder / "report.md").unlink()
    sample(tmp_path / "run", *measured)
    assert evaluation_of(folder) == first
    assert "## Quality" in (folder / "report.md").read_text()
    reported = (folder / "report.md").stat().st_mtime_ns
    sample(tmp_path / "run", *measured)
    assert (folder / "report.md").stat().st_mtime_ns == reported
    sample(tmp_path / "run", *measured, "run.num_images=30")
    assert evaluation_of(folder)["num_images"] == 30
    assert (folder / "evaluation.json").stat().st_mtime_ns != written


def test_another_protocol_is_measured_anew(tmp_path, sample, measured):
    """Catches: intervals of other groups that pass for current."""
    sample(tmp_path / "run", *measured)
    folder = sample(tmp_path / "run", *measured, "evaluation.groups=4")
    assert evaluation_of(folder)["groups"] == 4


def test_no_reference_or_too_few_images(tmp_path, sample, measured, caplog):
    """Catches: a run of two images that fails after it was sampled."""
    folder = sample(tmp_path / "two", *measured, "run.num_images=2")
    assert (folder / "samples.npz").is_file() and not (folder / "evaluation.json").exists()
    folder = sample(tmp_path / "none", "evaluation.reference=null", "run.num_images=2")
    assert not (folder / "evaluation.json").exists()


def test_bad_evaluation_is_refused_before_sampling(tmp_path, refusal, measured):
    """Catches: hours of sampling before a misspelt reference is found."""
    cases = {
        "evaluation.reference=nowhere.npz": ("evaluation.reference", "no such file"),
        "evaluation.weights=nowhere.pt": ("evaluation.weights", "no such file"),
        "evaluation.floor=nowhere.json": ("evaluation.floor", "no such file"),
        "evaluation.groups=1": ("evaluation.groups=1", "from 2 to"),
        "evaluation.batch_size=0": ("evaluation.batch_size=0", "at least 1"),
        "evaluation.extractor._target_=models.dit.DiT": ("evaluation.extractor", ""),
        f"evaluation.floor={PRETRAINED}/SHA256SUMS": ("evaluation.floor", "no evaluation"),
        f"evaluation.weights={PRETRAINED}/fashion_mnist/small.safetensors": (
            "evaluation.weights",
            "is not this classifier",
        ),
    }
    for override, (start, inside) in cases.items():
        message = refusal(tmp_path / "run", *measured, override)
        assert message.startswith(start) and inside in message, message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_sample_and_evaluate_alike(tmp_path, command, sample, measured):
    """Catches: noise that depends on the rank, a rank whose images count twice or not at all."""
    one = evaluation_of(sample(tmp_path / "one", *measured))
    done = command(f"run.dir={tmp_path}/two", *measured, processes=2)
    assert done.returncode == 0, done.stderr
    files = [(tmp_path / name / "samples.npz").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    two = evaluation_of(tmp_path / "two")
    for metric, entry in one["metrics"].items():
        ours = [entry["value"], *entry["replicates"]]
        theirs = [two["metrics"][metric]["value"], *two["metrics"][metric]["replicates"]]
        assert theirs == pytest.approx(ours, rel=1e-6, abs=1e-9)


def test_no_reference_is_told_before_sampling(tmp_path, sample, caplog):
    """Catches: evaluation=inception without real images, which evaluates nothing in silence."""
    words = ["evaluation.extractor={_target_: evaluation.features.inception.InceptionExtractor}"]
    with caplog.at_level("INFO", logger="tstitch"):
        folder = sample(tmp_path / "run", *words, "run.num_images=2")
    lines = [record.getMessage() for record in caplog.records]
    [place] = [
        i for i, line in enumerate(lines) if line.startswith("evaluation.reference=null: no")
    ]
    assert "evaluation.reference=PATH" in lines[place]
    assert place < next(i for i, line in enumerate(lines) if "images to sample" in line)
    assert not (folder / "evaluation.json").exists()


def test_flags_of_a_run(tmp_path, sample, measured, caplog):
    """Catches: values of few images that are logged, stored and reported as any others; an
    evaluation of before without flags that is measured again, or stays without."""
    with caplog.at_level("INFO", logger="tstitch"):
        folder = sample(tmp_path / "run", *measured)
    assert "(few images)" in caplog.text and "flagged: few images: 24 images" in caplog.text
    assert "Flagged: few images: 24 images are fewer" in (folder / "report.md").read_text()
    found = evaluation_of(folder)
    old = json.loads(json.dumps(found))
    del old["flags"]
    for entry in old["metrics"].values():
        del entry["flags"]
    (folder / "evaluation.json").write_text(json.dumps(old))
    caplog.clear()
    with caplog.at_level("INFO", logger="tstitch"):
        sample(tmp_path / "run", *measured)
    assert evaluation_of(folder) == found and "evaluating" not in caplog.text


def test_files_are_read_as_they_were_written(tmp_path, sample, measured):
    """Catches: a key that reading loses, and the next writing with it; keys in another order."""
    folder = sample(tmp_path / "run", *measured)
    for name, record, indent in (("metrics", RunMetrics, 2), ("evaluation", Evaluation, 1)):
        record.read(folder / f"{name}.json").write(tmp_path / name, indent)
        assert (tmp_path / name).read_bytes() == (folder / f"{name}.json").read_bytes()


def test_damaged_metrics_are_made_anew(tmp_path, sample, measured):
    """Catches: a traceback for a metrics.json that lacks a number or holds another one's."""
    folder = sample(tmp_path / "run", *measured)
    whole = json.loads((folder / "metrics.json").read_text())
    for change in ({"nfe_per_image": "many"}, {"denoisers": []}, {"protocol": None}):
        (folder / "metrics.json").write_text(json.dumps(whole | change))
        sample(tmp_path / "run", *measured)
        assert json.loads((folder / "metrics.json").read_text())["denoisers"] == whole["denoisers"]
