"""Tracking with wandb, offline: what a run and a sweep leave for `wandb sync`."""

import numpy as np
import pytest


@pytest.fixture
def tracked(tmp_path):
    """Overrides that track offline into the test's folder."""
    return ("tracking=wandb", "tracking.mode=offline", f"tracking.dir={tmp_path}/tracking")


def recorded(folder):
    """The bytes that the one offline run in a folder keeps for `wandb sync`."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    return path.read_bytes()


def test_run_is_tracked_offline(tmp_path, command, tracked):
    """Catches: a tracker that is never called, a configuration or a grid that is not sent, one that
    nobody finds.
    """
    done = command(f"run.dir={tmp_path}/run", *tracked, "stitch.fraction=0.5")
    assert done.returncode == 0, done.stderr
    found = recorded(tmp_path / "tracking")
    assert b'{"_target_":"samplers.Fraction","fraction":0.5,' in found.replace(b" ", b"")
    for key in (b"images_total", b"seconds_per_image", b"gmacs_per_image", b"fingerprint"):
        assert key in found, key
    assert list((tmp_path / "tracking").glob("wandb/offline-run-*/files/media/images/grid*.png"))
    (place,) = (tmp_path / "tracking").glob("wandb/offline-run-*")
    assert f"wandb sync {place}" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_sweep_is_tracked_offline(tmp_path, tiny, tracked, run_script):
    """Catches: a sweep whose table, plots or page do not arrive, one tracked run per point."""
    real = tmp_path / "real.npz"
    grey = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), np.uint8)
    np.savez(real, arr_0=np.repeat(grey, 3, axis=3))
    words = [*tiny, *tracked, f"run.root={tmp_path}/runs", "sweep.fractions=[0,1]"]
    words += ["evaluation=pair", f"evaluation.reference={real}", "evaluation.floor=null"]
    done = run_script("sweep.py", *words)
    assert done.returncode == 0, done.stderr
    found = recorded(tmp_path / "tracking")
    assert b"point/fid" in found and b"point/label" in found
    media = tmp_path / "tracking"
    for pattern in ("table/points*", "images/plots*", "html/report*"):
        assert list(media.glob(f"wandb/offline-run-*/files/media/{pattern}")), pattern


def test_nothing_is_tracked_by_default(tmp_path, sample, monkeypatch):
    """Catches: an account that is asked for, files in the working directory."""
    monkeypatch.chdir(tmp_path)
    sample(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_bad_tracking(tmp_path, refusal, tracked):
    """Catches: tracebacks of wandb."""
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / "run", *tracked, "tracking.mode=sometimes")
    assert message.startswith("tracking.mode='sometimes'") and "offline" in message
    message = refusal(tmp_path / "run", *tracked, f"tracking.dir={tmp_path}/file/deeper")
    assert message.startswith("tracking.dir=") and "cannot be written" in message
    assert not (tmp_path / "run").exists()
