"""`stitch=topk`: calibrated once, kept with the run, the same on every rank."""

import json
from pathlib import Path

import pytest
from stand_ins import fill

from models.checkpoints import save_weights
from samplers import least
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.sweep.plan import plan_sweep

TOPK = ("stitch=topk", "stitch.steps=2", "stitch.inputs=6")


def content(folder: Path) -> dict:
    return json.loads((folder / "schedule.json").read_text())["schedule"]


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory):
    """A finished one; not to be changed."""
    return sample(tmp_path_factory.mktemp("topk") / "run", *TOPK)


def test_the_least_disagreement_is_small(run, sample, images, tmp_path):
    """Catches: a schedule that is not the curve's, images that are not the schedule's."""
    found = content(run)
    assert found["models"] == list(least(found["disagreement"], 2))
    assert (found["compare"], found["inputs"]) == ("eps", 6)
    assert all(0 < q < 10 for q in found["disagreement"]) and len(found["spread"]) == 4
    fixed = sample(tmp_path / "fixed", "stitch=explicit", f"stitch.models={found['models']}")
    assert (images(fixed) == images(run)).all()


def test_report_shows_it(run):
    """Catches: a report that is silent on the schedule, a picture that is not there."""
    text, names = (run / "report.md").read_text(), ("small", "large")
    models = content(run)["models"]
    assert f"- Steps, noisiest first: {names[models[0]]} " in text
    assert "](schedule.png)" in text and (run / "schedule.png").read_bytes()[1:4] == b"PNG"
    metrics = json.loads((run / "metrics.json").read_text())
    assert [row["steps"] for row in metrics["denoisers"].values()] == [2, 2]


def test_resume_keeps_the_schedule(run, sample, images, tmp_path):
    """Catches: a second calibration; one that needs the shards' batches."""
    folder = sample(tmp_path / "run", *TOPK)
    stored = (folder / "schedule.json").read_bytes()
    assert stored == (run / "schedule.json").read_bytes()
    written = "stitch._target_=samplers.stitch_resolved.TopK"  # the class by another name
    assert (sample(folder, *TOPK, written) / "schedule.json").read_bytes() == stored
    changed = json.loads(stored)
    changed["schedule"]["models"] = [1, 0, 1, 0]  # as another machine might have found it
    other = tmp_path / "other"
    other.mkdir()
    (other / "schedule.json").write_text(json.dumps(changed))
    sample(other, *TOPK)
    assert content(other)["models"] == [1, 0, 1, 0]
    assert json.loads((other / "metrics.json").read_text())["protocol"]["stitch"]["models"] == [
        1, 0, 1, 0
    ]  # fmt: skip
    grown = sample(folder, *TOPK, "run.num_images=32")
    assert (images(grown)[:24] == images(run)).all() and len(images(grown)) == 32


def test_calibration_is_apart_from_the_run(run, sample, tmp_path):
    """Catches: a schedule that is found on the very images it then makes, or that depends on the
    run's seed; one seed that gives one schedule whatever it is."""
    other = content(sample(tmp_path / "other", *TOPK, "run.seed=5"))
    assert other == content(run)
    again = content(sample(tmp_path / "again", *TOPK, "stitch.seed=5"))
    assert again["disagreement"] != other["disagreement"]


def test_another_target_is_another_run(run, refusal):
    """Catches: a schedule kept for a target that it was not found for; one of another kind."""
    for words in (("stitch.steps=1",), ("stitch.compare=velocity",), ("guidance.scale=3",)):
        message = refusal(run, *TOPK, *words)
        assert "belongs to another run (its schedule is for steps 2, inputs 6, seed 0" in message
    assert "belongs to another run" in refusal(run, "stitch=budget", "stitch.speedup=1.1")


def test_overwriting_by_another_kind_removes_it(sample, tmp_path):
    """Catches: the report of a fixed schedule beside a curve that is not its own."""
    folder = sample(tmp_path / "run", *TOPK)
    sample(folder, "run.overwrite=true")
    assert not (folder / "schedule.json").exists() and not (folder / "schedule.png").exists()
    assert "schedule.png" not in (folder / "report.md").read_text()


def test_sweeps_refuse_it_and_take_the_others(tiny, measured, tmp_path):
    """Catches: a traceback, an unresolved schedule that is sampled as something else, kinds
    without a fraction that a sweep cannot place."""

    def plan(kinds):
        own = (f"run.root={tmp_path}", "sampler.steps=10", f"sweep.kinds={kinds}")
        return plan_sweep(compose("sweep", [*tiny, *measured, *own]))

    for kind in ("budget", "topk", "search"):
        with pytest.raises(UserError, match=f"models=None: stitch={kind} is resolved by scripts"):
            plan(f"[{kind}]")
    points = plan("[window,boundary,last,random]").points
    assert [point.label for point in points] == ["window", "boundary", "last", "random"]
    assert [p.experiment.steps_per_denoiser["small"] for p in points] == [4, 5, 10, 10]


def test_every_denoiser_has_its_guidance(sample, network, tmp_path):
    """Catches: predictions compared before guidance, or under one scale for both."""
    path = tmp_path / "same.safetensors"
    save_weights(fill(network("large", 1), 1).state_dict(), path, metadata={})
    twins = ["denoiser@pair.denoisers.small=fashion_mnist_large"]
    twins += [f"pair.denoisers.{name}.weights={path}" for name in ("small", "large")]
    twins += [f"pair.denoisers.{name}.sha256=null" for name in ("small", "large")]
    same = content(sample(tmp_path / "same", *twins, *TOPK))
    assert same["disagreement"] == [0, 0, 0, 0]
    own = "++pair.denoisers.small.guidance=4"
    assert min(content(sample(tmp_path / "own", *twins, *TOPK, own))["disagreement"]) > 0


def test_derived_directory(run, sample, images, tmp_path):
    """Catches: a directory whose name does not tell of the schedule, or that decides it."""
    folder = sample(tmp_path, *TOPK, "run.dir=null", f"run.root={tmp_path}")
    assert folder.name.startswith("dpmsolver4-topk2-cfg1.5-seed0-")
    assert content(folder)["models"] == content(run)["models"]
    assert (images(folder) == images(run)).all()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_ranks_share_one_calibration(processes, run, command, images, tmp_path):
    """Catches: ranks that find schedules of their own, a directory that depends on them."""
    done = command(*TOPK, f"run.root={tmp_path}", processes=processes)
    assert done.returncode == 0, done.stderr
    [folder] = [path.parent for path in tmp_path.rglob("schedule.json")]
    assert folder.name.startswith("dpmsolver4-topk2-cfg1.5-seed0-")
    assert content(folder)["models"] == content(run)["models"]
    assert (images(folder) == images(run)).all()


def test_more_steps_than_there_are(refusal, tmp_path):
    """Catches: a schedule that is measured, and cannot be met."""
    message = refusal(tmp_path / "run", "stitch=topk", "stitch.steps=9")
    assert message.startswith("stitch.steps=9: choose at most 4")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_refused_on_the_command_line(command, tmp_path):
    """Catches: a traceback, another exit code, a line of every rank."""
    for processes in (0, 2):
        done = command(
            "stitch=topk", "stitch.steps=9", f"run.dir={tmp_path}/run", processes=processes
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and lines[0].startswith("error: stitch.steps=9: choose at most 4")
        assert done.returncode == (1 if processes else 2) and not (tmp_path / "run").exists()
