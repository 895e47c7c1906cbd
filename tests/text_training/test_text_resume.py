"""A pair made in pieces is the pair made in one go."""

import csv
from pathlib import Path

import pytest
import torch

from tstitch.text_training import run, stage

NO_PREVIEW = "text.preview.images=0"  # no other file depends on it


class Killed(BaseException):
    """Stands for kill -9."""


def kill_at(monkeypatch, name: str, step: int, *, before_checkpoint: bool) -> None:
    """The process dies when a stage has made a step whose checkpoint is due."""
    write = stage.save_checkpoint

    def save(state, folder):
        mine = folder.name == name and state.step == step
        if mine and before_checkpoint:
            raise Killed
        write(state, folder)
        if mine:
            raise Killed

    monkeypatch.setattr(stage, "save_checkpoint", save)


def shipped(folder: Path) -> dict[str, bytes]:
    """Files of the pair by their names; what was trained on the same day has the same record."""
    pair = folder / "pair"
    return {p.relative_to(pair).as_posix(): p.read_bytes() for p in pair.rglob("*") if p.is_file()}


def rows(folder: Path, name: str) -> list[dict]:
    with (folder / name / "log.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if "per_s" not in k} for row in found]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step", "before_checkpoint"),
    [
        ("encoder", 2, False),
        ("vae", 4, True),
        ("vae", 4, False),
        ("styled", 2, False),
        ("lcm", 2, False),
    ],
)
def test_killed_and_resumed(tmp_path, made, whole, monkeypatch, name, step, before_checkpoint):
    """Catches: draws that restart, an average or rate that is lost, a stage that is skipped since
    its folder is there, files of a network that were not made of its last weights.
    """
    with monkeypatch.context() as patch:
        kill_at(patch, name, step, before_checkpoint=before_checkpoint)
        with pytest.raises(Killed):
            made(tmp_path, NO_PREVIEW)
    made(tmp_path, NO_PREVIEW)
    assert shipped(tmp_path) == shipped(whole)
    for other in ("encoder", "vae", "large", "small", "styled", "lcm", "lcm_small"):
        assert rows(tmp_path, other) == rows(whole, other)


@pytest.mark.slow
def test_stages_one_by_one(tmp_path, made, whole):
    """Catches: a stage that depends on what another one left in memory."""
    for name in run.STAGES:
        made(tmp_path, f"text.stages=[{name}]", NO_PREVIEW)
    assert shipped(tmp_path) == shipped(whole)


def test_finished_pair_changes_nothing(tmp_path, made):
    """Catches: files written again, a step too many, when the same command runs once more."""
    fields = ("text.stages=[encoder,vae,cache,small]", NO_PREVIEW)
    made(tmp_path, *fields)
    dates = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    dates |= {p: p.stat().st_mtime_ns for p in tmp_path.rglob("checkpoint.pt")}
    made(tmp_path, *fields)
    assert dates == {p: p.stat().st_mtime_ns for p in dates} and len(dates) == 7


def test_minutes_end_a_stage_with_what_there_is(tmp_path, made):
    """Catches: a budget that is not kept, a pause that loses steps or leaves no network."""
    made(tmp_path, "text.stages=[vae]", "text.vae.minutes=0", "text.vae.steps=1000")
    assert len(rows(tmp_path, "vae")) == 1
    first = shipped(tmp_path)["vae/diffusion_pytorch_model.safetensors"]
    made(tmp_path, "text.stages=[vae]", "text.vae.minutes=0", "text.vae.steps=1000")
    assert [row["step"] for row in rows(tmp_path, "vae")] == ["1", "2"]
    assert shipped(tmp_path)["vae/diffusion_pytorch_model.safetensors"] != first


def test_init_gives_what_is_not_made(tmp_path, made, whole):
    """Catches: text.init ignored, or taken over by a network that is trained anew."""
    fields = ["text.stages=[cache,large,pair]", f"text.init={whole / 'pair'}", NO_PREVIEW]
    made(tmp_path, *fields, "text.large.learning_rate=0", "text.large.steps=2")
    old, new = shipped(whole), shipped(tmp_path)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert new[weights] == old[weights]
    assert new["vae/config.json"] == old["vae/config.json"]
    assert torch.load(tmp_path / "large" / "checkpoint.pt", weights_only=True)["step"] == 2


def test_students_of_another_teacher(tmp_path, made, whole):
    """Catches: a student that stays as it is, goes on from the old one's weights, or is taken
    over, once the U-Net that it distils has changed.
    """
    student = "unet_small_lcm/diffusion_pytorch_model.safetensors"
    fields = [f"text.init={whole / 'pair'}", NO_PREVIEW, "text.small.steps=2"]
    made(tmp_path, *fields, "text.stages=[cache,small]")
    assert student not in shipped(tmp_path) and "unet_lcm/config.json" in shipped(tmp_path)
    fields.append("text.stages=[small,lcm_small]")
    made(tmp_path, *fields)
    first = shipped(tmp_path)
    made(tmp_path, *fields)
    assert shipped(tmp_path) == first
    fields[2] = "text.small.steps=4"
    made(tmp_path, *fields)
    assert shipped(tmp_path)[student] != first[student]
    assert rows(tmp_path, "lcm_small")[0]["step"] == "1"
    assert len(rows(tmp_path, "lcm_small")) == 4


def test_init_is_no_stage_of_this_training(tmp_path, made, whole):
    """Catches: an autoencoder that is trained further and not saved, since the one that it began
    as had been trained for as many steps.
    """
    made(tmp_path, "text.stages=[vae]", f"text.init={whole / 'pair'}")
    weights = "vae/diffusion_pytorch_model.safetensors"
    assert shipped(tmp_path)[weights] != shipped(whole)[weights]
