"""Flags where a user meets the values: terminal, JSON, report, sweep, API."""

import json

import numpy as np
import pytest

from evaluation.features.reference import open_reference
from tstitch import evaluate as evaluate_api
from tstitch.config.cli import compose
from tstitch.pair.weights import PRETRAINED
from tstitch.scoring.evaluation import Evaluation
from tstitch.scoring.run import run_evaluation

SHIPPED = PRETRAINED / "fashion_mnist" / "reference.npz"


@pytest.fixture(scope="module")
def ten(files, tmp_path_factory):
    """A reference of ten classes with their labels."""
    path = tmp_path_factory.mktemp("ten") / "real.npz"
    np.savez(path, np.load(files / "real.npz")["arr_0"], np.arange(500) % 10)
    return path


def some(files, folder, classes: list[int], count: int):
    """The first images of samples.npz, labelled with these classes."""
    path = folder / "some.npz"
    images = np.load(files / "samples.npz")["arr_0"][:count]
    np.savez(path, images, np.array(classes * count)[:count])
    return path


def test_two_classes_against_ten(evaluate, files, ten, tmp_path, capsys):
    """Catches: a distance of the classes that is printed and stored like one of quality."""
    path = some(files, tmp_path, [3, 7], 600)
    found = evaluate(tmp_path, f"samples={path}", f"reference={ten}")
    assert list(found["flags"]) == ["other classes"]
    assert "2 classes, the reference of 10" in found["flags"]["other classes"]
    for metric in ("fid", "sfid", "precision", "recall", "kid"):
        assert found["metrics"][metric]["flags"] == ["other classes"]
    assert found["metrics"]["class_accuracy"]["flags"] == []
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith("| FID"))
    assert "(other classes)" in row and "Flagged: other classes: the images are of" in printed


def test_few_images_and_enough(evaluate, files, ten, tmp_path, capsys):
    """Catches: FID of fewer images than dimensions without a word; a flag on a sound value."""
    path = some(files, tmp_path, list(range(10)), 8)
    found = evaluate(tmp_path, f"samples={path}", f"reference={ten}")
    assert found["metrics"]["fid"]["flags"] == ["few images"] == list(found["flags"])
    assert "8 images are fewer than the 128 dimensions" in found["flags"]["few images"]
    assert "(few images)" in capsys.readouterr().out
    found = evaluate(tmp_path, f"reference={ten}")
    assert found["flags"] == {} and found["metrics"]["fid"]["flags"] == []
    assert "Flagged" not in capsys.readouterr().out


def test_api_without_labels(files):
    """Catches: an array of one class that passes for all ten, since it has no labels."""
    with np.load(files / "samples.npz") as archive:
        one = np.repeat(archive["arr_0"][:1], 200, axis=0)
    words = ["evaluation=fashion_mnist", "device=cpu", "evaluation.groups=4"]
    found = evaluate_api(one, None, *words)
    assert "as the classifier sees them" in found.flags["other classes"]
    assert found.metrics["fid"].flags == ("other classes",)


def test_classes_of_references(files, ten, tmp_path):
    """Catches: a shipped reference whose classes are not known, counts that are lost or wrong."""
    assert open_reference(SHIPPED, "reference").class_counts == (6000,) * 10
    assert open_reference(ten, "reference").class_counts == (50,) * 10
    assert open_reference(files / "real.npz", "reference").class_counts is None
    path = tmp_path / "statistics.npz"
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3), class_counts=np.array([4, 0, 5]))
    assert open_reference(path, "reference").class_counts == (4, 0, 5)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(3), class_counts=np.array([0.5]))
    with pytest.raises(ValueError, match="class_counts are no whole numbers"):
        open_reference(path, "reference")


def test_stored_values_keep_their_flags(evaluate, files, ten, tmp_path):
    """Catches: flags lost on the way to the tables of a sweep."""
    path = some(files, tmp_path, [3, 7], 40)
    found = evaluate(tmp_path, f"samples={path}", f"reference={ten}")
    stored = Evaluation.read(tmp_path / "result.json")
    assert stored.metrics["fid"].flags == ("other classes", "few images")
    assert json.loads(json.dumps(stored.plain())) == found


def test_no_reference_is_refused_by_evaluate(fields):
    """Catches: an evaluation of nothing."""
    with pytest.raises(Exception, match="reference=null: give the real images"):
        words = [w for w in fields if not w.startswith("reference=")]
        run_evaluation(compose("evaluate", [*words, "evaluation.reference=null"]))
