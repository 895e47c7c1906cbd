"""What `scripts/evaluate.py` counts of a folder, how it pairs, and what labels decide."""

import json

import numpy as np
import pytest
from PIL import Image

COUNT = 24


@pytest.fixture
def folder(tmp_path, files):
    """Folder of 24 images with copies that an editor keeps, a link and a note beside them."""
    images = np.load(files / "samples.npz")["arr_0"][:COUNT]
    return fill(tmp_path / "images", images)


def fill(folder, images, first: int = 0):
    folder.mkdir()
    for index, image in enumerate(images, first):
        Image.fromarray(image).save(folder / f"{index}.png")
    hidden = folder / ".ipynb_checkpoints"
    hidden.mkdir()
    for index in range(6):
        (hidden / f"{index}-checkpoint.png").write_bytes((folder / f"{first}.png").read_bytes())
    (folder / "latest.png").symlink_to(f"{first}.png")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_hidden_images_on_the_command_line(command, folder, tmp_path):
    """Catches: 30 images for 24, samples and reference alike, and no word about it."""
    output = tmp_path / "result.json"
    done = command(f"samples={folder}", f"reference={folder}", f"output={output}")
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert (result["num_images"], result["protocol"]["reference"]["num_images"]) == (COUNT, COUNT)
    note = "8 of 32 files are left out: 6 hidden (.ipynb_checkpoints/0-checkpoint.png), 1 links to "
    for field in ("samples", "reference"):
        assert done.stderr.count(f"{field}={folder}: {note}") == 1, done.stderr
    fid = result["metrics"]["fid"]
    assert fid["value"] == 0 and f"| {fid['name']} | 0 (few images) |" in done.stdout


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_damaged_image_on_the_command_line(command, folder):
    """Catches: a traceback for a file that an interrupted copy has cut; exit code 1."""
    cut(folder / "7.png")
    done = command(f"samples={folder}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and lines[0].startswith("error: samples=")
    assert "7.png cannot be read" in lines[0] and "replace or remove it" in lines[0]


def test_damaged_image_of_the_reference(refusal, folder):
    """Catches: a message that blames the samples."""
    cut(folder / "7.png")
    message = refusal(f"reference={folder}")
    assert message.startswith("reference=")
    assert "7.png cannot be read" in message and "replace or remove it" in message


def test_order_of_numbered_files(evaluate, folder, files, tmp_path, caplog):
    """Catches: 10.png paired with the second image because it comes before 2.png."""
    images = np.load(files / "samples.npz")["arr_0"][:COUNT]
    np.savez(tmp_path / "same.npz", images)
    found = evaluate(tmp_path, f"samples={folder}", f"baseline={tmp_path / 'same.npz'}")
    assert all(entry == {"difference": 0, "low": 0, "high": 0}
               for entry in found["differences"].values())  # fmt: skip
    assert "paired" not in caplog.text


def test_pairs_of_other_numbers_are_said(evaluate, folder, files, tmp_path, caplog):
    """Catches: images paired by position though their numbers say otherwise, without a word."""
    images = np.load(files / "samples.npz")["arr_0"][1 : COUNT + 1]
    other = fill(tmp_path / "other", images, first=1)
    evaluate(tmp_path, f"samples={folder}", f"baseline={other}")
    assert "paired by position in natural order" in caplog.text
    assert "their names differ: 0.png with 1.png" in caplog.text


def test_unknown_labels_give_no_accuracy(evaluate, files, tmp_path, caplog):
    """Catches: an accuracy of 0 for images that have no label."""
    images = np.load(files / "samples.npz")["arr_0"][:COUNT]
    labels = np.arange(COUNT) % 10
    labels[3:5] = -1
    np.savez(tmp_path / "some.npz", images, labels)
    np.savez(tmp_path / "none.npz", images, np.full(COUNT, -1))
    for name, unknown in (("some", 2), ("none", COUNT)):
        result = evaluate(tmp_path, f"samples={tmp_path / name}.npz")
        assert "class_accuracy" not in result["metrics"]
        assert f"{unknown} of {COUNT} images have no label from 0 to 9" in caplog.text


def test_labels_of_other_classes_are_refused(refusal, files, tmp_path):
    """Catches: ImageNet's labels counted as wrong answers of a classifier of ten classes."""
    images = np.load(files / "samples.npz")["arr_0"][:COUNT]
    path = tmp_path / "a.npz"
    np.savez(path, images, np.arange(COUNT))
    message = refusal(f"samples={path}")
    assert message.startswith(f"samples={path}: label 10 of image 10 is no class of the classifier")


@pytest.mark.parametrize("dtype", ["U", "S", object, float])
def test_reference_with_labels_of_any_kind(evaluate, files, tmp_path, dtype):
    """Catches: a reference refused for the names of its classes, which nothing reads."""
    images = np.load(files / "real.npz")["arr_0"]
    names = np.array(["3"] * len(images)).astype(dtype)
    np.savez(tmp_path / "real.npz", images, names)
    plain, named = (evaluate(tmp_path, f"reference={folder / 'real.npz'}")
                    for folder in (files, tmp_path))  # fmt: skip
    assert named["metrics"] == plain["metrics"]
