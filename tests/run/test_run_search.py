"""`stitch=search`: searched once, no worse than what it began with, kept with the run."""

import json
from itertools import combinations

import pytest

SEARCH = ("stitch=search", "stitch.steps=2", "stitch.inputs=3", "stitch.population=3")


def content(folder):
    return json.loads((folder / "schedule.json").read_text())["schedule"]


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory):
    """A finished one; not to be changed."""
    return sample(tmp_path_factory.mktemp("search") / "run", *SEARCH)


def test_is_the_best_of_all(run):
    """Catches: a search that ends behind a seed, or that leaves out some of six schedules."""
    found = content(run)
    assert found["judged"] == len(list(combinations(range(4), 2)))
    changes = {name: seed["change"] for name, seed in found["seeds"].items()}
    assert {"first", "last", "topk of eps", "topk of x0", "topk of velocity"} <= changes.keys()
    assert found["change"] == found["generations"][-1] <= min(changes.values())
    assert found["models"].count(0) == 2 and (run / "schedule.png").is_file()


def test_again_and_resumed(run, sample, images, tmp_path):
    """Catches: a result of chance, a second search, images of another schedule."""
    again = sample(tmp_path / "again", *SEARCH)
    assert content(again) == content(run)
    models = f"stitch.models={content(run)['models']}"
    fixed = sample(tmp_path / "fixed", "stitch=explicit", models)
    assert (images(fixed) == images(run)).all()
    stored = (again / "schedule.json").read_bytes()
    assert len(images(sample(again, *SEARCH, "run.num_images=32"))) == 32
    assert (again / "schedule.json").read_bytes() == stored


@pytest.mark.slow
def test_two_processes(run, command, images, tmp_path):
    """Catches: a rank that searches for itself, or samples before it knows the schedule."""
    done = command(*SEARCH, f"run.dir={tmp_path}/run", processes=2)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "run") == content(run)
    assert (images(tmp_path / "run") == images(run)).all()


def test_another_setting_is_another_run(run, refusal):
    """Catches: a schedule kept for a search or a run that it was not found for."""
    for words in (("stitch.generations=1",), ("run.seed=5",), ("guidance=auto",)):
        message = refusal(run, *SEARCH, *words)
        assert "belongs to another run (its schedule is for steps 2, inputs 3, popul" in message


def test_cost_is_told_before(sample, caplog, tmp_path):
    """Catches: hours of search without a word."""
    with caplog.at_level("INFO", logger="tstitch"):
        sample(tmp_path / "run", *SEARCH, "stitch.generations=1", "run.num_images=1")
    text = caplog.text
    cost = "search: 2 of 4 steps small; up to 9 schedules of 3 images each: 108 image steps"
    assert cost in text and text.index(cost) < text.index("search: generation 1 of 1")


@pytest.mark.slow
def test_speedup_gives_the_steps(sample, refusal, tmp_path):
    """Catches: more small steps than the speed needs, or fewer."""
    words = (*SEARCH[:1], "stitch.steps=null", *SEARCH[2:], "stitch.generations=0")
    none = content(sample(tmp_path / "none", *words, "stitch.speedup=1"))
    assert none["models"] == [1, 1, 1, 1] and none["change"] == 0
    some = content(sample(tmp_path / "some", *words, "stitch.speedup=1.2"))
    assert 1 <= some["models"].count(0) <= 3
    message = refusal(tmp_path / "fast", *words, "stitch.speedup=1000")
    assert message.startswith("stitch.speedup=1000: the fastest denoiser alone gives")
