"""Students trained by the command: the same for any number of processes, and in pieces."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from tstitch.distil import recorder

KL = "distil.kl.weight=0.3"
WEIGHTS = "student/unet/diffusion_pytorch_model.safetensors"


class Killed(BaseException):
    """Stands for kill -9."""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def checkpoint(folder: Path) -> dict:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, distilled) -> dict[str, Path]:
    """distil.dir by kind of fake score, trained in one go."""
    return {
        kind: distilled(tmp_path_factory.mktemp(kind), f"distil.fake.kind={kind}", KL)
        for kind in ("full", "lora")
    }


def test_files(whole, log_rows, teacher):
    """Catches: a student that diffusers cannot read, that is not the average, that did not learn;
    a log without what its decoders do.
    """
    folder = whole["full"]
    student = UNet2DConditionModel.from_pretrained(folder / "student" / "unet")
    assert student.dtype == torch.bfloat16 or student.dtype == torch.float32
    saved, found = weights(folder), checkpoint(folder)
    assert all(value.dtype == torch.bfloat16 for value in saved.values())
    assert all(torch.equal(saved[n], found["ema"][n].bfloat16()) for n in saved)
    before = load_file(teacher / "unet" / "diffusion_pytorch_model.safetensors")
    assert not any(torch.equal(saved[n], before[n].bfloat16()) for n in saved if "conv" in n)
    rows = log_rows(folder)
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 11)]
    columns = {f"eps_{what}_{t}" for what in ("mean", "variance") for t in (751, 501, 251, 1)}
    assert columns <= rows[0].keys()
    # The fake score begins as the teacher, so there is nothing to learn from yet.
    assert float(rows[0]["vsd"]) == float(rows[0]["gradient"]) == 0 < float(rows[1]["gradient"])
    plan = json.loads((folder / "student" / "unet" / "tiue.json").read_text())
    assert plan["timesteps"] == [751, 501, 251, 1] and plan["clean"] is False
    assert (plan["arm"], plan["encoder"], plan["steps"]) == ("U", "once", 10)
    assert plan["captions_seen"] == 40


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("before_checkpoint", [True, False])
def test_killed_and_resumed(
    tmp_path, distilled, whole, monkeypatch, log_rows, kind, before_checkpoint
):
    """Catches: draws that restart, a fake score, average or moment of an optimiser that is lost."""
    fields = (f"distil.fake.kind={kind}", KL)
    write = recorder.save_checkpoint

    def save(state, folder):
        if not (before_checkpoint and state.step == 6):
            write(state, folder)
        if state.step == 6:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "save_checkpoint", save)
        with pytest.raises(Killed):
            distilled(tmp_path, *fields)
    assert checkpoint(tmp_path)["step"] == (3 if before_checkpoint else 6)
    distilled(tmp_path, *fields)
    assert (tmp_path / WEIGHTS).read_bytes() == (whole[kind] / WEIGHTS).read_bytes()
    for part in ("model", "ema"):
        assert same(checkpoint(tmp_path)[part], checkpoint(whole[kind])[part])
    assert log_rows(tmp_path) == log_rows(whole[kind])


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, tiny_distil, run_script) -> Path:
    """distil.dir of kind full, trained by the command in two processes."""
    folder = tmp_path_factory.mktemp("two")
    done = run_script("distil.py", *tiny_distil(folder, KL), processes=2)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_two_processes(by_two, whole, log_rows, teacher):
    """Catches: ranks that draw the same images, gradients that are added, a divergence that counts
    by rank.
    """
    # Adam makes much of the rounding of small gradients: compared with how far weights have moved.
    before = load_file(teacher / "unet" / "diffusion_pytorch_model.safetensors")
    one, two = checkpoint(whole["full"])["ema"], checkpoint(by_two)["ema"]
    moved = sum((one[n] - before[n]).square().sum() for n in before)
    apart = sum((one[n] - two[n]).square().sum() for n in before)
    assert moved > 0 and apart < 1e-4 * moved
    for first, second in zip(log_rows(whole["full"]), log_rows(by_two), strict=True):
        for name in ("kl", "fake", "eps_variance_1"):
            assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-3)


@pytest.mark.slow
def test_two_processes_resume(tmp_path, tiny_distil, run_script, by_two):
    """Catches: a resumed training of several processes that goes on with other draws."""
    for steps in (5, 10):
        fields = tiny_distil(tmp_path, KL, f"distil.steps={steps}")
        done = run_script("distil.py", *fields, processes=2)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / WEIGHTS).read_bytes() == (by_two / WEIGHTS).read_bytes()
    assert same(checkpoint(tmp_path)["model"], checkpoint(by_two)["model"])


def test_the_release_sums_its_divergence(tmp_path, distilled):
    """Catches: a sum that is taken for a mean. At 8 images and 4 decoders 0.1 of it are 3.2."""
    folders = [
        distilled(tmp_path / form, "distil.batch_size=8", "distil.steps=1", *fields)
        for form, *fields in (
            ("mean", "distil.kl.weight=3.2", "distil.kl.form=mean"),
            ("sum", "distil.kl.weight=0.1", "distil.kl.form=sum"),
        )
    ]  # fmt: skip
    moments = [checkpoint(folder)["optimizer"]["state"][0]["exp_avg"] for folder in folders]
    assert moments[0].abs().sum() > 0
    torch.testing.assert_close(*moments)


@pytest.mark.parametrize("arm", ["O999", "U3", "Utr", "M4"])
def test_every_arm_trains(students, arm):
    """Catches: an arm that cannot be trained or does not say how it is to be sampled."""
    plan = json.loads((students(arm) / "tiue.json").read_text())
    assert plan["arm"] == arm and plan["encoder"] == ("each step" if arm == "M4" else "once")


def test_timesteps_of_ones_own(tmp_path, distilled, log_rows):
    """Catches: an arm's timesteps in place of those given; bf16, several fake steps that fail."""
    fields = ("distil.arm=free", "distil.timesteps=[900,400]", "distil.clean=true")
    more = ("distil.dtype=bf16", "distil.fake.per_step=3", "distil.steps=2", "distil.guidance=1")
    distilled(tmp_path, *fields, *more)
    plan = json.loads((tmp_path / "student" / "unet" / "tiue.json").read_text())
    assert plan["timesteps"] == [900, 400] and plan["clean"] is True
    assert {"eps_mean_900", "eps_mean_400"} <= log_rows(tmp_path)[0].keys()


def test_minutes_end_a_training_with_what_there_is(tmp_path, distilled, log_rows):
    """Catches: a budget that is not kept, a pause that loses steps."""
    for expected in (["1"], ["1", "2"]):
        distilled(tmp_path, "distil.minutes=0")
        assert [row["step"] for row in log_rows(tmp_path)] == expected


def test_captions_and_previews_of_a_data_set(tmp_path, teacher, tiny_distil, caplog):
    """Catches: held-out captions that are learned from, latents that nobody looked at, a preview
    that is not there.
    """
    from tstitch.config.cli import compose
    from tstitch.distil.run import run_distillation

    fields = tiny_distil(tmp_path, "distil.steps=2", "distil.captions=null")
    shown = ("distil.preview.images=2", "distil.preview.steps=2", "distil.preview.every=1")
    config = compose("distil", [*fields, *shown])
    config["data"] = {"_target_": "stand_ins.captioned_images"}
    with caplog.at_level("INFO"):
        run_distillation(config)
    assert "latents of 6 images: mean" in caplog.text
    assert (tmp_path / "preview-0000001.png").is_file()
    assert (tmp_path / "preview-0000002.png").is_file()
