"""scripts/train.py with tracking=wandb, offline: rows, samples, and what a resume goes on with."""

import csv

import pytest
import tracked


@pytest.fixture
def tracking(tmp_path):
    """Function (name) -> overrides that track offline into that folder of the test's."""
    return lambda name: (
        "tracking=wandb",
        "tracking.mode=offline",
        f"tracking.dir={tmp_path / name}",
    )


def test_a_resumed_training_is_the_same_run(tmp_path, tiny, trained, tracking, run_script):
    """Catches: columns of log.csv that are not sent, steps that begin again, a resumed training
    among others, samples that stay at home, a run that nobody finds.
    """
    folder, first, second = (tmp_path / name for name in ("run", "first", "second"))
    steps = ("train.steps=3", "train.decay_steps=0", "train.log_every=2", "train.sample_every=3")
    done = run_script("train.py", *tiny(folder, *steps, *tracking("first")))
    assert done.returncode == 0, done.stderr
    (place,) = tracked.offline_runs(first)
    assert f"wandb sync {place}" in done.stderr.splitlines()[-1]
    assert list(place.glob("files/media/images/samples_3_*.png"))
    trained(folder, *steps, "train.steps=4", *tracking("second"))

    (later,) = tracked.offline_runs(second)
    assert tracked.part_of(place) == tracked.part_of(later)
    assert tracked.identity(place) != tracked.identity(later)  # or an upload would replace it
    with (folder / "log.csv").open(newline="") as file:
        kept = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    sent = [tracked.history(place), tracked.history(later)]
    assert [[row["_step"] for row in rows] for rows in sent] == [[2, 3], [4]]
    rows = [row for part in sent for row in part]
    for row, expected in zip(rows, kept, strict=True):
        assert {name: row[name] for name in expected if name != "step"} == {
            name: value for name, value in expected.items() if name != "step"
        }


@pytest.mark.slow
def test_one_of_two_processes_tracks(tmp_path, tiny, tracking, run_script):
    """Catches: a run for each rank."""
    words = tiny(tmp_path / "run", "train.steps=2", *tracking("tracking"))
    done = run_script("train.py", *words, processes=2)
    assert done.returncode == 0, done.stderr
    (place,) = tracked.offline_runs(tmp_path / "tracking")
    assert [row["_step"] for row in tracked.history(place)] == [1, 2]
