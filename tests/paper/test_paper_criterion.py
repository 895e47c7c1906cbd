"""`paper=criterion`: schedules of equal cost, ranked by the search's criterion and by FID."""

import json

import pytest

from tstitch.paper.kinds.criterion import CriterionSettings, compared_schedules, spearman

CURVE = "{models: [small, large], sampler: ddim, steps: [4], fractions: [0]}"
PROBE = "{small: 2, windows: 3, random: 2, inputs: 3, seed: 0}"
WORDS = ("paper=criterion", f"paper.miniature.curves=[{CURVE}]", f"paper.miniature.probe={PROBE}")


def test_rank_correlation():
    """Catches: Pearson's in its place, ties by luck, a constant that divides by zero."""
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert spearman([1, 1, 2], [5, 5, 7]) == pytest.approx(1)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0


def test_schedules_cost_the_same():
    """Catches: a schedule with more small steps than others, one twice, a label for two."""
    probe = CriterionSettings(small=10, windows=6, random=9, inputs=32, seed=0)
    found = compared_schedules(probe, 20)
    assert len(found) == 16 == len(set(found.values()))
    assert {models.count(0) for models in found.values()} == {10}
    assert found["window from 0"] == (0,) * 10 + (1,) * 10
    assert found["window from 10"] == (1,) * 10 + (0,) * 10


@pytest.mark.slow
def test_a_report(reproduce, tmp_path):
    """Catches: points that are not the schedules of their labels, a criterion of other ones, a
    second command that measures again."""
    report = reproduce(tmp_path, *WORDS)
    text = report.read_text()
    assert "Spearman's rank correlation of FID and the criterion: " in text
    assert "over 4 schedules of 2 small steps" in text and "from 3 images of other noise" in text
    assert (report.with_suffix("") / "criterion.png").stat().st_size > 0
    kept = tmp_path / "paper" / "criterion-miniature" / "measured.json"
    changes = json.loads(kept.read_text())["measured"]["changes"]
    assert len(changes) == 4 and min(changes) > 0
    order = [text.index(f"| {change:.4g} |") for change in sorted(changes)]
    assert order == sorted(order)
    stored = kept.stat().st_mtime_ns
    assert reproduce(tmp_path, *WORDS).read_text() == text
    assert kept.stat().st_mtime_ns == stored


def test_steps_that_are_evaluated_twice(reproduce, tmp_path):
    """Catches: evaluations given to the criterion for steps."""
    report = reproduce(tmp_path, *WORDS, "paper.miniature.curves.0.sampler=heun")
    kept = tmp_path / "paper" / "criterion-miniature" / "measured.json"
    assert len(json.loads(kept.read_text())["measured"]["changes"]) == 4
    assert "| window from 0 | ssLL |" in report.read_text()


@pytest.mark.slow
def test_two_processes(reproduce, command, tmp_path):
    """Catches: a rank that judges as well, and waits for the others or has values of its own."""
    reproduce(tmp_path / "alone", *WORDS)
    done = command(*WORDS, f"root={tmp_path}/both", processes=2)
    assert done.returncode == 0, done.stderr
    files = [tmp_path / name / "paper/criterion-miniature" for name in ("alone", "both")]
    one, other = (json.loads((f / "measured.json").read_text())["measured"] for f in files)
    assert one == other


def test_bad_values(refusal, tmp_path):
    """Catches: a curve whose fractions are thrown away, schedules that cannot be drawn."""
    words = list(WORDS)
    small = "paper.miniature.probe.small=4"
    assert "probe.small=4: choose less than the 4 steps" in refusal(tmp_path, *words, small)
    for fractions in ("[0,0.5]", "[1]"):
        own = f"paper.miniature.curves.0.fractions={fractions}"
        assert "give one of two models" in refusal(tmp_path, "paper=criterion", own)
