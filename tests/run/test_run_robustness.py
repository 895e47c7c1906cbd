"""Unwritable directories, full disks, two runs at once."""

import os
import resource
from functools import partial

import pytest
import torch

from models.checkpoints import save_weights


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("below", ["run", "a/b/run"])
def test_path_below_a_file(tmp_path, refusal, below):
    """Catches: a bare OSError for a directory that cannot be made."""
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file" / below)
    assert message.startswith(f"run.dir={tmp_path}/file/{below}: cannot be written"), message


@pytest.mark.parametrize("overwrite", ["false", "true"])
def test_directory_of_something_else(tmp_path, refusal, overwrite):
    """Catches: run.overwrite in a directory of the user's that removes the user's images."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "cat.png").write_text("mine")
    message = refusal(tmp_path, f"run.overwrite={overwrite}")
    assert message.startswith(f"run.dir={tmp_path}: holds images but no config.yaml"), message
    assert [p.name for p in tmp_path.iterdir()] == ["images"]
    assert (tmp_path / "images" / "cat.png").read_text() == "mine"


def test_run_killed_while_it_wrote_its_configuration(tmp_path, sample, whole):
    """Catches: a half-written config.yaml that makes the directory look like somebody else's."""
    run = tmp_path / "run"
    (run / "shards").mkdir(parents=True)
    (run / ".config.yaml.tmp").write_text("finger")
    sample(run)
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert not (run / ".config.yaml.tmp").exists()


def test_derived_path_below_a_file(tmp_path, refusal):
    """Catches: a message that names no directory where run.dir is derived."""
    (tmp_path / "file").touch()
    message = refusal(tmp_path, "run.dir=null", f"run.root={tmp_path}/file")
    assert message.startswith(f"run.dir={tmp_path}/file/fashion_mnist/"), message


def test_overflow_in_float16_is_no_image(tmp_path, refusal, sample, network):
    """Catches: infinite values that become black pixels, and metrics of them."""
    large = network("large", 1)
    with torch.no_grad():
        large.blocks[0].mlp.fc2.weight.mul_(1e7)  # beyond float16's 65504, harmless in float32
    save_weights(large.state_dict(), tmp_path / "large.safetensors", metadata={})
    words = [f"pair.denoisers.large.weights={tmp_path}/large.safetensors", "sampler.steps=2"]
    message = refusal(tmp_path / "run", *words, "run.dtype=fp16")
    wanted = "run.dtype=fp16: 8 of 8 images of a batch are infinite or not a number; choose"
    assert message.startswith(wanted), message
    assert not list((tmp_path / "run").rglob("*.npz"))
    assert (sample(tmp_path / "other", *words) / "samples.npz").is_file()


@pytest.mark.parametrize(
    ("size", "shards", "processes"),
    [(40_000, 3, 0), pytest.param(10_000, 0, 2, marks=pytest.mark.slow)],
    ids=["samples", "shard"],
)
def test_full_disk(tmp_path, command, sample, whole, size, shards, processes):
    """Catches: half a file under its final name, finished work thrown away, a traceback, one rank
    waiting for the other."""
    run = tmp_path / "run"
    arguments = [f"run.dir={run}"]
    ended = command(*arguments, processes=processes, preexec_fn=partial(limit_files, size))
    lines = [text for text in ended.stderr.splitlines() if "error: " in text]
    assert ended.returncode == (1 if processes else 2), ended.stderr
    assert len(lines) == 1 and lines[0].startswith(f"error: run.dir={run}: cannot be written")
    assert "free space" in lines[0] and "/tstitch/" not in ended.stderr, ended.stderr
    assert len(list((run / "shards").iterdir())) == shards
    assert not (run / "samples.npz").exists() and not list(run.rglob("*.npz.*"))
    kept = {path: path.stat().st_mtime_ns for path in (run / "shards").iterdir()}
    sample(run)
    assert (run / "samples.npz").read_bytes() == (whole / "samples.npz").read_bytes()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_second_run_is_refused(tmp_path, launch, refusal, until):
    """Catches: two runs that write one directory; a lock that outlives its owner."""
    run = tmp_path / "run"
    long = ["run.num_images=2000", "run.batch_size=2", "sampler.steps=10"]
    first = launch(f"run.dir={run}", *long)
    until(lambda: list(run.glob("shards/*.npz")), first)
    message = refusal(run, *long, "run.overwrite=true")
    assert message.startswith(f"run.dir={run}: another run is working there"), message
    assert first.poll() is None and list(run.glob("shards/*.npz"))
    first.kill()
    first.wait()
    assert "belongs to another run" in refusal(run, *long, "run.seed=5")


def test_lock_file_of_a_dead_run(tmp_path, sample):
    """Catches: a lock that is the existence of a file."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text(str(os.getpid()))
    assert (sample(tmp_path / "run", "run.num_images=1") / "samples.npz").is_file()
