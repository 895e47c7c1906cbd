"""`stitch=budget`: measured once, kept with the run, the same on every rank."""

import json
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from samplers import Budget, spend

BUDGET = ("stitch=budget", "stitch.speedup=1.3")


def schedule(folder: Path) -> dict:
    return json.loads((folder / "schedule.json").read_text())["schedule"]


@pytest.mark.parametrize(
    ("seconds", "evaluations"),
    [
        ((1.0, 3.0), [1] * 7),
        ((1.0, 2.0, 5.0), [1] * 6),
        ((2.0, 1.0, 4.0), [1] * 5),
        ((1.0, 3.0), [2, 2, 2, 2, 1]),
        ((1.0, 2.0, 5.0), [2, 2, 2, 1]),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.77, 1.0])
def test_spend_takes_the_most_of_the_largest(seconds, evaluations, share):
    """Catches: a schedule over the limit, a step of the large one left out, an order that is not
    small to large, steps of two evaluations that cost one."""

    def cost(models):
        return sum(n * seconds[m] for n, m in zip(evaluations, models, strict=True))

    total = sum(evaluations)
    limit = max(total * min(seconds), share * total * max(seconds))
    every = combinations_with_replacement(range(len(seconds)), len(evaluations))
    allowed = [models for models in every if cost(models) <= limit + 1e-9]
    best = max(allowed, key=lambda models: models[::-1])
    assert spend(seconds, evaluations, limit) == best


def test_ends_of_the_budget():
    """Catches: rounding that costs the last step, a limit below the fastest model."""
    ten = [1] * 10
    assert spend((0.1, 0.3), ten, 3.0) == (1,) * 10
    assert spend((0.1, 0.3), ten, 1.0) == (0,) * 10
    with pytest.raises(ValueError, match="fastest model alone takes 1 s"):
        spend((0.1, 0.3), ten, 0.99)


def test_unresolved_budget_has_no_schedule():
    """Catches: a budget that silently becomes all large."""
    with pytest.raises(ValueError, match="scripts/sample.py"):
        Budget(speedup=2).assign([999, 500, 0], 2)


def test_target_names_the_run():
    """Catches: another key or name of the directory, by which finished runs are not known again."""
    assert Budget(speedup=1.5).target == {"speedup": 1.5, "ms_per_image": None}
    assert Budget(speedup=1.5).title == "speedup1.5" and Budget(ms_per_image=20).title == "20ms"


def test_resume_keeps_the_schedule(sample, images, tmp_path):
    """Catches: a second measurement, after which the run has images of two schedules."""
    folder = sample(tmp_path / "run", *BUDGET)
    stored, first = (folder / "schedule.json").read_bytes(), images(folder)
    again = sample(tmp_path / "run", *BUDGET, "run.num_images=32")
    assert (again / "schedule.json").read_bytes() == stored
    assert len(images(again)) == 32 and (images(again)[:24] == first).all()
    content = schedule(folder)
    assert content["speedup"] >= 1.3 and sum(content["steps"].values()) == 4
    fixed = sample(tmp_path / "fixed", "stitch=explicit", f"stitch.models={content['models']}")
    assert (images(fixed) == first).all()


def test_steps_of_two_evaluations(sample, tmp_path):
    """Catches: a schedule with a model for each of Heun's evaluations, times that count a step."""
    folder = sample(tmp_path / "run", "sampler=heun", *BUDGET)
    content = schedule(folder)
    assert len(content["models"]) == 4 and sum(content["steps"].values()) == 7
    metrics = json.loads((folder / "metrics.json").read_text())
    ran = {name: row["steps"] for name, row in metrics["denoisers"].items()}
    assert ran == content["steps"] and content["speedup"] >= 1.3


@pytest.mark.slow
def test_ranks_share_one_measurement(command, images, tmp_path):
    """Catches: ranks that measured for themselves, a directory that depends on the times."""
    arguments = (*BUDGET, f"run.root={tmp_path}", "run.dir=null")
    done = command(*arguments, processes=2)
    assert done.returncode == 0, done.stderr
    [folder] = [path.parent for path in tmp_path.rglob("schedule.json")]
    before = images(folder)
    done = command(*arguments, "run.num_images=40")
    assert done.returncode == 0, done.stderr
    assert (images(folder)[:24] == before).all() and len(images(folder)) == 40


def test_another_target_is_another_run(sample, refusal, tmp_path):
    """Catches: a schedule kept for a target that it does not meet."""
    folder = sample(tmp_path / "run", *BUDGET)
    faster = schedule(folder)["steps"]
    message = refusal(tmp_path / "run", "stitch=budget", "stitch.speedup=1")
    assert "belongs to another run (its schedule is for speedup 1.3" in message
    assert schedule(folder)["steps"] == faster
    sample(tmp_path / "run", "stitch=budget", "stitch.speedup=1", "run.overwrite=true")
    assert schedule(folder)["steps"] == {"small": 0, "large": 4} != faster


BAD = [
    (["stitch.speedup=1000"], "stitch.speedup=1000: the fastest denoiser alone gives"),
    (["stitch.speedup=0.5"], "stitch.speedup=0.5: choose"),
    (["stitch.ms_per_image=3"], "stitch.speedup=1.5: give either"),
    (["stitch.speedup=null"], "stitch.speedup=None: give either"),
    (["stitch.speedup=null", "stitch.ms_per_image=1e-6"], "stitch.ms_per_image=1e-06: the fastest"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_budget_is_one_line(words, message, refusal, tmp_path):
    """Catches: a target that cannot be met and is met by nothing."""
    assert message in refusal(tmp_path / "run", "stitch=budget", *words)
    assert not (tmp_path / "run").exists()
