"""`baseline=` compared image by image: values, processes, images that cannot be paired."""

import json

import numpy as np
import pytest
import torch

from evaluation.features.classifier import ClassifierExtractor
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.paired import PairedEvaluator
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import EvaluationSettings

KEYS = ["diversity", "rms", "feature_distance", "psnr"]


def test_values(evaluate, files, tmp_path, capsys):
    """Catches: features or labels of the wrong images, a table without the comparison."""
    found = evaluate(tmp_path, f"baseline={files / 'baseline.npz'}")["paired"]
    assert list(found) == KEYS
    own, base = (np.load(files / f"{name}.npz") for name in ("samples", "baseline"))
    a, b, labels = own["arr_0"].astype(float), base["arr_0"].astype(float), own["arr_1"]
    assert found["rms"]["value"] == pytest.approx(np.sqrt(((a - b) ** 2).mean((1, 2))).mean())
    extractor = ClassifierExtractor(files / "classifier.safetensors").eval()
    with torch.inference_mode():
        f, g = (
            extractor(torch.from_numpy(x["arr_0"])[:, None].expand(-1, 3, -1, -1))["pool"].double()
            for x in (own, base)
        )
    assert found["feature_distance"]["value"] == pytest.approx(float((f - g).norm(dim=1).mean()))
    apart = [
        np.mean(np.concatenate([torch.pdist(x[labels == c]).numpy() for c in range(10)]))
        for x in (f, g)
    ]
    assert found["diversity"]["value"] == pytest.approx(apart[0] / apart[1], rel=1e-6)
    table = capsys.readouterr().out
    for entry in found.values():
        assert entry["low"] < entry["value"] < entry["high"] and len(entry["replicates"]) == 10
        assert f"| {entry['name']} | {entry['value']:.5g} |" in table


def test_a_baseline_that_is_the_samples(evaluate, files, tmp_path):
    """Catches: a distance where there is none, an infinite PSNR in a file that must be JSON."""
    found = evaluate(tmp_path, f"baseline={files / 'samples.npz'}")["paired"]
    assert found["diversity"]["value"] == pytest.approx(1) and found["rms"]["value"] == 0
    assert list(found) == KEYS[:-1]


@pytest.mark.slow
def test_two_processes(command, files, tmp_path):
    """Catches: groups of one rank that take the place of another's."""
    found = []
    for processes in (0, 2):
        output = tmp_path / f"{processes}.json"
        words = (f"output={output}", f"baseline={files / 'baseline.npz'}")
        done = command(*words, processes=processes)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(output.read_text())["paired"])
    for key, entry in found[0].items():
        assert found[1][key]["value"] == pytest.approx(entry["value"], rel=1e-9)
        assert found[1][key]["replicates"] == pytest.approx(entry["replicates"], rel=1e-9)


def test_other_labels(evaluate, files, tmp_path, caplog):
    """Catches: the diversity of classes that are not those of the images."""
    images, labels = (np.load(files / "samples.npz")[name] for name in ("arr_0", "arr_1"))
    np.savez(tmp_path / "rolled.npz", images, np.roll(labels, 1))
    found = evaluate(tmp_path, f"baseline={tmp_path / 'rolled.npz'}")["paired"]
    assert "diversity" not in found and "image 0 has another label" in caplog.text
    np.savez(tmp_path / "plain.npz", images)
    found = evaluate(tmp_path, f"baseline={tmp_path / 'plain.npz'}")["paired"]
    assert found["diversity"]["value"] == pytest.approx(1)


def test_images_that_cannot_be_paired(fields, files, tmp_path):
    """Catches: runs of two lengths that are compared as far as they go."""
    config = compose("evaluate", [*fields])
    evaluation = config["evaluation"] | {"reference": config["reference"]}
    evaluator = Evaluator(EvaluationSettings.parse(evaluation), torch.device("cpu"))
    np.savez(tmp_path / "few.npz", np.load(files / "samples.npz")["arr_0"][:40])
    base = PairedEvaluator(evaluator, open_samples(files / "samples.npz", "base"), "base=all")
    with pytest.raises(UserError, match="few=40: holds 40 images of 28x28, base=all 600") as caught:
        base.measure(open_samples(tmp_path / "few.npz", "few"), "few=40")
    assert "\n" not in str(caught.value)
