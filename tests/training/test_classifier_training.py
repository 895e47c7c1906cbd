"""scripts/train_classifier.py: it learns, repeats itself, and refuses bad input in one line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import write_idx

from evaluation.features.classifier import ClassifierExtractor
from tstitch.config.cli import compose
from tstitch.data.datasets import idx_folder
from tstitch.runtime.errors import UserError
from tstitch.training.classifier import (
    ClassifierSettings,
    augmented,
    run_classifier_training,
)

SCRIPT = "train_classifier.py"


def overrides(data: Path, out: Path, *more: str) -> list[str]:
    fields = (f"out={out}", "epochs=6", "batch_size=10", "learning_rate=0.02", "device=cpu")
    return ["data=idx_folder", f"data.folder={data}", *(f"classifier.{f}" for f in fields), *more]


def error_of(arguments: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        run_classifier_training(compose("train_classifier", arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def trained(data_folder, run_script, tmp_path_factory) -> tuple[Path, str]:
    """The weights of a training through the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("classifier")
    out = folder / "new" / "tiny.safetensors"
    result = run_script(SCRIPT, *overrides(data_folder, out), cwd=folder)
    assert result.returncode == 0, result.stderr
    return out, result.stdout + result.stderr


def test_command_learns(trained, data_folder):
    """Catches: a frozen network, labels that do not belong to their images."""
    out, printed = trained
    extractor = ClassifierExtractor(out)
    assert extractor.num_classes == 2
    images, labels = idx_folder(str(data_folder), "test").tensors
    predicted = extractor(images.repeat(1, 3, 1, 1))["classes"]
    accuracy = (predicted == labels).double().mean().item()
    assert accuracy >= 0.95
    assert printed.strip().splitlines()[-1].endswith(f"test accuracy {100 * accuracy:.2f} %")


def test_files(trained):
    """Catches: temporary files left behind, a log that lacks epochs or is not of this run."""
    out, _ = trained
    log = out.with_name("tiny.log.csv")
    assert set(out.parent.iterdir()) == {out, log}
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert all(0.0 <= float(row["test_accuracy"]) <= 1.0 for row in rows)


def test_same_seed_same_weights(data_folder, tmp_path):
    """Catches: draws from a generator that the seed does not set, a seed that does nothing."""
    written = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.safetensors"
        more = ("classifier.epochs=1", f"classifier.seed={seed}")
        torch.rand(3)  # the state of the global generator must not matter
        run_classifier_training(compose("train_classifier", overrides(data_folder, out, *more)))
        written.append(ClassifierExtractor(out).state_dict())
    a, b, c = written
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_goes_on_from_weights(trained, data_folder, tmp_path):
    """Catches: `init` that is read and then not used."""
    out = tmp_path / "further.safetensors"
    more = (f"classifier.init={trained[0]}", "classifier.epochs=1", "classifier.learning_rate=0")
    run_classifier_training(compose("train_classifier", overrides(data_folder, out, *more)))
    before, after = (dict(ClassifierExtractor(p).named_parameters()) for p in (trained[0], out))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_augmentation_moves_and_mirrors():
    """Catches: one shift for the whole batch, wrap-around, an image cut at the wrong side."""
    images = torch.zeros(400, 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 10, 0] = 200
    moved = augmented(images, flip=True, shift=2, draws=torch.Generator().manual_seed(0))
    assert moved.shape == images.shape and moved.dtype == torch.uint8
    lit = moved[:, 0].nonzero()
    assert set(lit[:, 1].tolist()) == {8, 9, 10, 11, 12}
    assert set(lit[:, 2].tolist()) == {0, 1, 2, 25, 26, 27}
    assert 0.5 < len(lit) / 400 < 0.7  # two of five shifts move it out of the image
    still = augmented(images, flip=False, shift=0, draws=torch.Generator().manual_seed(0))
    assert torch.equal(still, images)


def test_learning_rate_rises_and_falls(tmp_path):
    """Catches: a peak elsewhere, a rate that does not end at zero."""
    section = compose("train_classifier", [f"classifier.out={tmp_path}/a.safetensors"])[
        "classifier"
    ]
    settings = ClassifierSettings.parse(section)
    rates = [settings.learning_rate_at(p) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0])


@pytest.mark.parametrize(
    ("override", "begin", "remedy"),
    [
        ("classifier.epochs=0", "classifier.epochs=0", "of at least 1"),
        ("classifier.batch_size=1", "classifier.batch_size=1", "of at least 2"),
        ("classifier.learning_rate=-1", "classifier.learning_rate=-1", "of at least 0"),
        ("classifier.warmup=1", "classifier.warmup=1", "from 0 to 0.9"),
        ("classifier.flip=1", "classifier.flip=1", "true or false"),
        ("classifier.shift=8", "classifier.shift=8", "from 0 to 7"),
        ("classifier.device=tpu", "classifier.device='tpu'", "choose one of"),
        ("classifier.out=weights.pt", "classifier.out='weights.pt'", "ends in .safetensors"),
        ("classifier.init=/nowhere", "classifier.init: '/nowhere'", "no such file"),
        ("classifier.init=shipped:fashion_mnist/small.safetensors", "classifier.init: ", "not fit"),
        ("+classifier.speed=1", "classifier.speed", "unknown key"),
        ("data.split=test", "data.split", "must be train"),
        ("data.folder=/nowhere", "data.folder=/nowhere", "is missing"),
    ],
)
def test_bad_values(data_folder, tmp_path, override, begin, remedy):
    """Catches: a traceback, or a training that runs with a value nobody meant."""
    arguments = overrides(data_folder, tmp_path / "a.safetensors")
    name = override.lstrip("+").partition("=")[0]
    message = error_of([a for a in arguments if not a.startswith(f"{name}=")] + [override])
    assert message.startswith(begin) and remedy in message
    assert not list(tmp_path.iterdir())


def test_other_images_are_refused(tmp_path):
    """Catches: images that the network would take and the extractor would not."""
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", np.zeros((4, 32, 32)))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", np.zeros(4))
    message = error_of(overrides(tmp_path, tmp_path / "a.safetensors"))
    assert message.startswith("data: ") and "(1, 32, 32)" in message


def test_data_without_splits_is_refused(tmp_path):
    """Catches: an accuracy on the images of the training."""
    out = f"classifier.out={tmp_path}/a.safetensors"
    message = error_of(["data=image_folder", f"data.folder={tmp_path}", out])
    assert message.startswith("data.split: must be train")


def test_several_processes_are_refused(data_folder, tmp_path, monkeypatch):
    """Catches: processes that train alone and write over each other."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "one process" in error_of(overrides(data_folder, tmp_path / "a.safetensors"))


def test_unwritable_folder_is_refused_before_the_training(data_folder, tmp_path):
    """Catches: a training whose weights have no place to go."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "a.safetensors"
    assert error_of(overrides(data_folder, out)).startswith(f"classifier.out={out}: cannot be")


def test_bad_command_line_is_one_line(data_folder, run_script, tmp_path):
    """Catches: a traceback of the command, another exit code than 2."""
    arguments = overrides(data_folder, tmp_path / "a.safetensors", "classifier.shift=-1")
    result = run_script(SCRIPT, *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "error: classifier.shift=-1: choose a whole number from 0 to 7"
    ]
