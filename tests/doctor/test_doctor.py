"""python -m tstitch.doctor."""

import subprocess
import sys
from pathlib import Path

import pytest

from tstitch.doctor import __main__ as doctor
from tstitch.doctor import files, packages

ROOT = Path(__file__).parents[2]


def test_here():
    """Catches: a report that fails where everything is there, or leaves out a part."""
    command = [sys.executable, "-m", "tstitch.doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for part in ("torch 2.", "diffusers 0.", "cpu: ", "engine.compile=true", "shipped: whole"):
        assert part in done.stdout
    assert done.stdout.endswith("all is well\n")


@pytest.mark.parametrize(
    ("wanted", "found", "fits"),
    [(">=2.6", "2.14.1", True), (">=2.6", "2.5.1", False), (">=2.6", None, False),
     ("", "0.1", True), (">=2.6", "2.11.0+cu128", True), (">=2.6", "2.12.0.dev1", True)],
)  # fmt: skip
def test_versions(wanted, found, fits):
    """Catches: versions compared as text, local and development versions refused."""
    assert packages.Package("torch", wanted, found).fits is fits


def test_what_must_be_mended(monkeypatch, tmp_path, capsys):
    """Catches: exit code 0 with an old package or a weight that an interrupted clone has cut."""
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  cut.bin\n{'1' * 64}  gone.bin\n")
    (tmp_path / "cut.bin").write_bytes(b"half")
    monkeypatch.setattr(files, "PRETRAINED", tmp_path)
    old = [packages.Package("torch", ">=2.6", "2.1"), packages.Package("gradio", "", None, "demo")]
    monkeypatch.setattr(packages, "wanted_packages", lambda: old)
    assert doctor.main() == 1
    said = capsys.readouterr().out
    assert "! torch: 2.1, wanted >=2.6; pip install -e ." in said
    assert "for scripts/demo.py: gradio; pip install -e '.[demo]'" in said
    for name in ("cut.bin", "gone.bin"):
        assert f"! models/pretrained/{name}: missing or changed" in said
    assert said.endswith("3 to mend, marked by !\n")


def test_not_installed(monkeypatch, capsys):
    """Catches: a traceback in a clone that is used without being installed."""
    monkeypatch.setattr(packages, "wanted_packages", lambda: None)
    assert doctor.main() == 1
    assert "! tstitch is not installed: pip install -e ." in capsys.readouterr().out
