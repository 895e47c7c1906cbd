"""`scripts/evaluate.py`: several processes, paired differences, and every bad input in one line."""

import json
import re
import time
import urllib.request

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError


def same(a: dict, b: dict, rel: float = 1e-6) -> None:
    """All values, bounds and replicates of two results."""
    assert a["metrics"].keys() == b["metrics"].keys() and a["protocol"] == b["protocol"]
    for metric, entry in a["metrics"].items():
        for key in ("value", "low", "high", "replicates"):
            assert b["metrics"][metric][key] == pytest.approx(entry[key], rel=rel), (metric, key)


def check_processes(command, evaluate, folder, *overrides: str) -> None:
    output = folder / "two.json"
    done = command(f"output={output}", *overrides, processes=2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| FID (Fashion-MNIST classifier) |") == 1
    same(evaluate(folder, *overrides), json.loads(output.read_text()))


def test_two_processes(command, evaluate, files, tmp_path):
    """Catches: groups or images that a rank leaves out, ranks that all print."""
    check_processes(command, evaluate, tmp_path, f"baseline={files / 'baseline.npz'}")


@pytest.mark.slow
def test_more_processes_than_groups(command, tmp_path):
    """Catches: a rank without any images that fails or waits for ever."""
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    np.savez(tmp_path / "few.npz", images)
    done = command(f"samples={tmp_path / 'few.npz'}", "evaluation.groups=2", processes=3)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_with_ten_thousand_images(command, evaluate, tmp_path):
    """Catches: what only shows with several splits of the Inception Score, and many blocks."""
    rng = np.random.default_rng(3)
    tiles = rng.integers(0, 256, (10_000, 4, 4), dtype=np.uint8)
    path = tmp_path / "many.npz"
    np.savez(path, tiles.repeat(7, axis=1).repeat(7, axis=2), np.arange(10_000) % 10)
    check_processes(command, evaluate, tmp_path, f"samples={path}", "evaluation.groups=50")


@pytest.mark.slow
def test_error_of_several_processes(command, tmp_path):
    """Catches: a line per rank, torchrun's traceback in place of the line."""
    done = command(f"samples={tmp_path / 'none.npz'}", processes=2)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "none.npz: no such file or folder" in lines[0]
    assert done.returncode != 0 and "Traceback (most recent call last)" not in lines[0]


def test_baseline(evaluate, files, tmp_path, capsys):
    """Catches: intervals of two independent sets, a difference with the wrong sign."""
    result = evaluate(tmp_path, f"baseline={files / 'baseline.npz'}")
    table = capsys.readouterr().out
    alone = evaluate(tmp_path, f"samples={files / 'baseline.npz'}")
    same(alone, result["baseline"], rel=1e-9)
    assert result["differences"].keys() == result["metrics"].keys()
    for metric, found in result["differences"].items():
        own, other = result["metrics"][metric], alone["metrics"][metric]
        assert found["difference"] == pytest.approx(own["value"] - other["value"])
        assert found["low"] <= found["difference"] <= found["high"]
    fid, own = result["differences"]["fid"], result["metrics"]["fid"]
    assert fid["high"] - fid["low"] < (own["high"] - own["low"]) / 2
    assert "difference to the baseline" in table and f"| {fid['difference']:+.5g} |" in table


def test_baseline_that_is_the_samples(evaluate, files, tmp_path):
    """Catches: a difference where there is none."""
    result = evaluate(tmp_path, f"baseline={files / 'samples.npz'}")
    for found in result["differences"].values():
        assert found == {"difference": 0, "low": 0, "high": 0}


def test_baseline_without_labels(evaluate, files, tmp_path):
    """Catches: a metric that only one of the two has."""
    images = np.load(files / "samples.npz")["arr_0"]
    np.savez(tmp_path / "plain.npz", images)
    result = evaluate(tmp_path, f"baseline={tmp_path / 'plain.npz'}")
    assert result["differences"].keys() == result["metrics"].keys() - {"class_accuracy"}
    result = evaluate(
        tmp_path, f"samples={tmp_path / 'plain.npz'}", f"baseline={files / 'samples.npz'}"
    )
    assert "class_accuracy" not in result["metrics"]


def test_output_in_a_new_folder(evaluate, tmp_path, capsys):
    """Catches: a result that is lost because a folder is missing; a result that is not printed."""
    path = tmp_path / "a" / "b" / "result.json"
    evaluate(tmp_path / "a" / "b")
    result, table = json.loads(path.read_text()), capsys.readouterr().out
    for entry in result["metrics"].values():
        assert f"| {entry['name']} | {entry['value']:.5g} |" in table
    assert "600 images against real, 500 images" in table


def write_files(folder, files) -> None:
    """Bad samples, references and weights."""
    images = np.load(files / "samples.npz")["arr_0"]
    np.savez(folder / "floats.npz", images / np.float32(255))
    np.savez(folder / "nchw.npz", images[:, None].repeat(3, axis=1))
    colour = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 3), np.uint8)
    np.savez(folder / "colour.npz", colour)
    np.savez(folder / "large.npz", np.zeros((8, 32, 32), np.uint8))
    np.savez(folder / "three.npz", images[:3])
    np.savez(folder / "fewer.npz", images[:599])
    whole = (files / "samples.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(folder / "inception.npz", mu=np.zeros(2048), sigma=np.eye(2048, dtype=np.float32))
    np.savez(folder / "names.npz", mean=np.zeros(128))
    np.savez(folder / "half.npz", mu=np.zeros(128))
    np.savez(folder / "nan.npz", mu=np.full(128, np.nan), sigma=np.eye(128))
    save_file({"weight": torch.zeros(3)}, folder / "other.st")
    (folder / "text.st").write_text("weights")
    (folder / "empty").mkdir()
    (folder / "file").write_text("no folder")


# overrides ({} is the folder of the files above), how the message begins, what else it says
BAD = [
    # samples
    (["samples={}/none.npz"], "samples={}/none.npz: ", "no such file or folder; check the path"),
    (["samples={}/empty"], "samples={}/empty: ", "no images there; give a folder"),
    (["samples={}/floats.npz"], "samples={}/floats.npz: ", "float32; give uint8"),
    (["samples={}/nchw.npz"], "samples={}/nchw.npz: ", "channels first; transpose"),
    (["samples={}/cut.npz"], "samples={}/cut.npz: ", "cut short"),
    (["samples={}/three.npz"], "samples={}/three.npz: ", "3 images; .* at least 4"),
    (["samples={}/large.npz"], "samples={}/large.npz: ", "32x32.* takes 28x28; choose"),
    (["samples={}/colour.npz"], "samples={}/colour.npz: ", "in colour.*; convert"),
    (["samples={}/inception.npz"], "samples={}/inception.npz: ", "has no arr_0 but mu, sigma"),
    # reference
    (["reference=null", "evaluation.reference=null"], "reference=null: ", "give the real images"),
    (["reference={}/none.npz"], "evaluation.reference: ", "none.npz': no such file; give"),
    (["reference={}/names.npz"], "reference={}/names.npz: ", "has mean; store arr_0"),
    (["reference={}/half.npz"], "reference={}/half.npz: ", "mu without sigma; store both"),
    (["reference={}/nan.npz"], "reference={}/nan.npz: ", "not finite"),
    (["reference={}/cut.npz"], "reference={}/cut.npz: ", "cut short"),
    (["reference={}/floats.npz"], "reference={}/floats.npz: ", "float32; give uint8"),
    (["reference={}/three.npz"], "reference=three: ", "holds 3 images; give at least 4"),
    (["reference={}/large.npz"], "samples=", "28x28, those of the reference 32x32; choose"),
    (["reference={}/colour.npz"], "reference=colour: ", "in colour.*; convert"),
    (["reference={}/inception.npz"], "reference=inception: ", "2048 values.* 128; choose"),
    # baseline
    (["baseline={}/none.npz"], "baseline={}/none.npz: ", "no such file or folder"),
    (["baseline={}/fewer.npz"], "baseline={}/fewer.npz: ", "599 images, samples 600"),
    # weights and settings
    (["evaluation.weights={}/none.pth"], "evaluation.weights: ", "none.pth': no such file; give"),
    (
        ["evaluation.weights={}/text.st"],
        "evaluation.weights={}/text.st: ",
        "cannot be read.*; get",
    ),
    (
        ["evaluation.weights={}/other.st"],
        "evaluation.weights={}/other.st: ",
        "is not this .*; give",
    ),
    (["evaluation.weights=null"], "evaluation.weights=null: ", "needs trained weights; give"),
    (["evaluation.weights=random"], "evaluation.weights=random: ", "give a path, a URL"),
    (["evaluation.groups=1"], "evaluation.groups=1: ", "from 2 to 1000"),
    (["evaluation.batch_size=0"], "evaluation.batch_size=0: ", "at least 1"),
    (["evaluation.extractor.name="], "evaluation.extractor.name=", "name the classifier"),
    (["evaluation.extractor._target_=a.B"], "evaluation.extractor._target_=a.B: ", "no such class"),
    (["evaluation.extractor._target_=torch.nn.Linear"], "evaluation.extractor", ""),
    (["evaluation=none"], "evaluation", "choose"),
    (["evaluation=lpips"], "evaluation=lpips: ", "choose one of"),
    (["device=gpu"], "device='gpu': ", "choose one of auto, cpu, cuda, mps"),
    (["device=cuda"], "device=cuda: ", "choose device=cpu"),
    (["output={}/file/result.json"], "output={}/file/result.json: ", "cannot be written"),
    (["output={}/empty"], "output={}/empty: ", "cannot be written"),
]


@pytest.fixture(scope="module")
def bad_files(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    write_files(folder, files)
    return folder


@pytest.mark.parametrize(("overrides", "begins", "says"), BAD, ids=lambda v: str(v)[:60])
def test_bad_input(refusal, bad_files, monkeypatch, overrides, begins, says):
    """Catches: a traceback, or a line without field, value and remedy."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # device=cuda is one of them
    message = refusal(*(text.replace("{}", str(bad_files)) for text in overrides))
    assert message.startswith(begins.replace("{}", str(bad_files))), message
    assert re.search(says, message), message


def test_inception_without_network(refusal, monkeypatch, tmp_path):
    """Catches: a traceback or a long wait where the weights cannot be downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("TSTITCH_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    # urllib keeps the proxies of its first call: neither those of another test, nor these after it.
    monkeypatch.setattr(urllib.request, "_opener", None)
    start = time.monotonic()
    message = refusal("evaluation=inception", "evaluation.weights=null")
    assert message.startswith("evaluation.weights: cannot download https://github.com/")
    assert "download the file by hand and give its local path" in message
    assert time.monotonic() - start < 20


def test_evaluation_of_a_pair_without_one():
    """Catches: Hydra's words about interpolation keys."""
    with pytest.raises(UserError) as caught:
        compose("evaluate", ["samples=x", "evaluation=pair"])
    assert str(caught.value).startswith("evaluation=pair: no pair here; choose")
