"""Runs under engine options: which change the images, and how much."""

import json

import numpy as np
import pytest

COMPILED = "engine.compile=true"


@pytest.fixture(scope="module")
def compiled(sample, tmp_path_factory):
    """A finished compiled run of 20 images in batches of 8: the last batch is not full."""
    return sample(tmp_path_factory.mktemp("compiled") / "run", COMPILED, "run.num_images=20")


@pytest.mark.slow
def test_compiled_images(compiled, images, whole):
    """Catches: padding that ends up in samples.npz, compiled code that computes something else."""
    found, expected = images(compiled), images(whole)[:20]
    assert len(found) == 20
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.slow
def test_padded_batch_is_computed_as_a_full_one(tmp_path, compiled, sample, images):
    """Catches: a last batch that runs in another shape, and so in other kernels: its images
    would depend on how many there are."""
    full = sample(tmp_path / "run", COMPILED)
    assert np.array_equal(images(full)[:20], images(compiled))


@pytest.mark.slow
def test_compilation_is_reported_apart(compiled):
    """Catches: compile time in the time per image, or nowhere."""
    metrics = json.loads((compiled / "metrics.json").read_text())
    seconds = metrics["seconds_per_image"]
    assert set(seconds["prepared"]) == {"small", "large"}
    assert all(value > 0 for value in seconds["prepared"].values())
    assert metrics["protocol"]["engine"]["compile"] is True
    report = (compiled / "report.md").read_text()
    assert "engine compile, keep_memory" in report and "not included: " in report


def test_engines_that_change_nothing(tmp_path, sample, images, whole):
    """Catches: bits that depend on threads or on what the allocator does."""
    plain = sample(tmp_path / "plain", "engine=plain")
    threads = sample(tmp_path / "threads", "engine.threads=2", "engine.keep_memory=false")
    sample(tmp_path / "one", "engine.threads=1", "run.num_images=1")  # as many as before
    assert np.array_equal(images(plain), images(whole))
    assert np.array_equal(images(threads), images(whole))


def test_stages_add_up(whole):
    """Catches: work that no stage counts, and background work in the time per image."""
    seconds = json.loads((whole / "metrics.json").read_text())["seconds_per_image"]
    assert set(seconds["stages"]) == {"denoise/small", "denoise/large", "update", "decode", "wait"}
    assert set(seconds["background"]) == {"noise", "write"}
    assert all(value >= 0 for value in seconds["stages"].values())
    # Two batches after the warm-up: their medians are means, which add.
    assert seconds["total"] == pytest.approx(sum(seconds["stages"].values()))


def test_no_compiler(tmp_path, refusal, monkeypatch):
    """Catches: torch's traceback, or a run that is silently not compiled."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = refusal(tmp_path / "run", COMPILED)
    assert message.startswith("engine.compile=true: needs a C++ compiler"), message
    assert "no-such-compiler" in message and "engine.compile=false" in message
    assert not (tmp_path / "run").exists()


PRINTING = """
from models.dit import DiT


class Printing(DiT):
    def forward(self, x, t, y):
        print("", end="")
        return super().forward(x, t, y)
"""


def test_network_that_cannot_be_compiled(tmp_path, refusal, monkeypatch):
    """Catches: a network that runs half compiled without a word, or ends in a traceback."""
    (tmp_path / "uncompilable.py").write_text(PRINTING)
    monkeypatch.syspath_prepend(tmp_path)
    target = "pair.denoisers.large.network._target_=uncompilable.Printing"
    weights = "pair.denoisers.large.weights=random"
    message = refusal(tmp_path / "run", COMPILED, target, weights)
    assert message.startswith("engine: large cannot be compiled or recorded ("), message
    assert message.endswith("choose engine=plain")


@pytest.mark.slow
def test_bfloat16_without_units(tmp_path, command):
    """Catches: a run that is a hundred times slower than it need be, and does not say why."""
    from evaluation.cost.machine import has_bfloat16

    run = command(f"run.dir={tmp_path / 'run'}", "run.dtype=bf16", "run.num_images=1")
    assert run.returncode == 0, run.stderr
    assert ("no bfloat16 units" in run.stderr) == (has_bfloat16() is False)


@pytest.mark.slow
def test_two_compiled_processes(tmp_path, command, compiled, images):
    """Catches: kernels that are chosen per rank, a padded batch that depends on its rank."""
    directory = tmp_path / "run"
    run = command(f"run.dir={directory}", COMPILED, "run.num_images=20", processes=2)
    assert run.returncode == 0, run.stderr
    assert np.array_equal(images(directory), images(compiled))
