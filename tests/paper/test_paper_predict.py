"""`paper=predict` in every form that docs/reproduce.md names, with a handful of images."""

import pytest

from tstitch.config.cli import compose
from tstitch.paper.run import run_reproduction

FEW = "[0, 0.5, 1]"
UNCHECKED = "probe.check=false"


TWO = "paper.miniature.curves=[" + ", ".join(  # each is a check of the other
    f"{{models: [small, large], sampler: {name}, steps: [4], fractions: {FEW}}}"
    for name in ("ddim", "dpm_solver")
) + "]"  # fmt: skip


def test_the_estimate_alone(reproduce, caplog, tmp_path):
    """Catches: a picture that wants FIDs where there are none, after all the sampling; a second
    command that fails as the first one; curves of more images than the estimate asks for."""
    words = ["paper=predict", "images=4", TWO, f"paper.miniature.{UNCHECKED}"]
    report = reproduce(tmp_path, *words)
    text = report.read_text()
    assert "Estimates from 4 images, thresholds of the configuration." in text
    assert "not checked against curves" in text and "FID" not in text
    assert "off by" not in text and text.count("| DDIM 4 steps") == 1
    assert (report.with_suffix("") / "predict.png").stat().st_size > 0
    for name in ("measured.json", "predict.png"):
        assert (tmp_path / "paper" / "predict-miniature" / name).is_file()
    assert not list(tmp_path.rglob("evaluation.json"))
    with caplog.at_level("INFO", logger="tstitch"):
        assert reproduce(tmp_path, *words) == report
    assert report.read_text() == text
    assert "0 of 4 images to sample" in caplog.text


@pytest.mark.slow
def test_estimate_then_check(reproduce, tmp_path):
    """Catches: runs without an evaluation that the checked command does not evaluate, and the
    other way round."""
    words = ["paper=predict", "images=4", TWO]
    alone = [*words, f"paper.miniature.{UNCHECKED}"]
    first = reproduce(tmp_path, *alone).read_text()
    checked = reproduce(tmp_path, *words).read_text()
    assert "measured safe fraction" in checked and "off by" in checked
    assert "Safe: FID rises by at most 5%" in checked
    again = reproduce(tmp_path, *alone).read_text()
    assert again == first


@pytest.mark.slow
def test_full_scale_alone(tiny, tmp_path):
    """Catches: an estimate at full scale that needs the reference, or fails like the miniature's.

    The shipped models stand in for the paper's."""
    own = compose("reproduce", list(tiny))
    words = [
        "paper=predict",
        "scale=full",
        f"paper.full.{UNCHECKED}",
        *(f"paper.full.curves.{i}.fractions={FEW}" for i in range(3)),
    ]
    config = compose("reproduce", [*words, "images=4", f"root={tmp_path}"])
    config["scale"]["pairs"] = own["scale"]["pairs"]
    kept = [w for w in own["overrides"] if not w.startswith("evaluation.")]
    text = run_reproduction(config | {"overrides": kept}).read_text()
    assert "Estimates from 4 images" in text and "| DPM-Solver++ 4 steps" in text


@pytest.mark.parametrize("scale", ["miniature", "full"])
@pytest.mark.parametrize("check", ["true", "false"])
def test_dry_run(reproduce, capsys, scale, check, tmp_path):
    """Catches: a cost of curves that are not sampled, or a dry run that cannot be planned."""
    words = [f"scale={scale}", f"paper.{scale}.probe.check={check}", "dry_run=true", "overrides=[]"]
    reproduce(tmp_path / "runs", "paper=predict", *words, "images=null")
    printed = capsys.readouterr().out
    few = {"miniature": "64 images each", "full": "128 images each"}[scale]
    assert printed.count(few) == (3 if check == "false" else 0)
    assert not (tmp_path / "runs").exists()


def test_one_curve_is_no_check_of_itself(reproduce, tmp_path):
    """Catches: a threshold taken from the very curve that it foretells: always off by nothing."""
    curve = "{models: [small, large], sampler: ddim, steps: [4], fractions: [0, 0.5, 1]}"
    text = reproduce(tmp_path, "paper=predict", f"paper.miniature.curves=[{curve}]").read_text()
    assert "Estimates from 8 images, thresholds of the configuration." in text
    assert "measured safe fraction" in text and "what the others have" not in text
