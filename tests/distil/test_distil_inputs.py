"""Bad input of scripts/distil.py: one line that names the field and says what is allowed."""

import json
import shutil

import pytest

from tstitch.config.cli import compose
from tstitch.distil.run import run_distillation
from tstitch.runtime.errors import UserError


def error_of(overrides: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        run_distillation(compose("distil", overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "begin", "remedy"),
    [
        (["distil.arm=O500"], "distil.arm='O500'", "choose one of O999, O751, U, U3, Utr, M4"),
        (["distil.arm=free"], "distil.timesteps=None", "give it, as distil.arm=free needs"),
        (["distil.timesteps=[751]"], "distil.timesteps=[751]", "give null"),
        (["distil.clean=true"], "distil.clean=True", "give null"),
        (["distil.arm=free", "distil.clean=false", "distil.timesteps=[1]"],
         "distil.timesteps=[1]", "begin at a noisier one"),
        (["distil.arm=free", "distil.clean=false", "distil.timesteps=[501,751]"],
         "distil.timesteps=[501, 751]", "each below the one before"),
        (["distil.arm=free", "distil.clean=true", "distil.timesteps=[]"],
         "distil.timesteps=[]", "one or more"),
        (["distil.arm=free", "distil.clean=true", "distil.timesteps=[1000]"],
         "distil.timesteps=[1000]", "from 0 to 999"),
        (["distil.captions=/nowhere.txt"], "distil.captions=/nowhere.txt", "give a text file"),
        (["distil.teacher=/nowhere"], "distil.teacher=/nowhere/unet", "no such folder"),
        (["distil.kl.form=average"], "distil.kl.form='average'", "choose one of mean, sum"),
        (["distil.kl.weight=-1"], "distil.kl.weight=-1", "of at least 0"),
        (["distil.fake.kind=adapter"], "distil.fake.kind='adapter'", "choose one of lora, full"),
        (["distil.fake.rank=0"], "distil.fake.rank=0", "of at least 1"),
        (["distil.fake.per_step=0"], "distil.fake.per_step=0", "of at least 1"),
        (["distil.guidance=0.5"], "distil.guidance=0.5", "of at least 1"),
        (["distil.score_timesteps=[980,20]"], "distil.score_timesteps=", "first < end"),
        (["distil.dtype=fp16"], "distil.dtype='fp16'", "choose one of fp32, bf16"),
        (["distil.save_dtype=fp32"], "distil.save_dtype='fp32'", "choose one of fp16, bf16"),
        (["distil.minutes=-1"], "distil.minutes=-1", "of at least 0"),
        (["distil.dir=/dev/null/x"], "distil.dir", "cannot be written"),
    ],
)  # fmt: skip
def test_bad_values(tmp_path, tiny_distil, overrides, begin, remedy):
    """Catches: values that pass and fail later, with a traceback or not at all."""
    message = error_of(tiny_distil(tmp_path / "run", *overrides))
    assert message.startswith(begin) and remedy in message, message


def test_a_file_without_captions(tmp_path, tiny_distil):
    """Catches: a training that divides by no captions."""
    (tmp_path / "empty.txt").write_text("\n \n")
    path = tmp_path / "empty.txt"
    message = error_of(tiny_distil(tmp_path / "run", f"distil.captions={path}"))
    assert message.startswith(f"distil.captions={path}: ") and "one a line" in message


def test_data_without_captions(tmp_path, tiny_distil):
    """Catches: a traceback for a data set of classes."""
    config = compose("distil", tiny_distil(tmp_path, "distil.captions=null"))
    config["data"] = {"_target_": "builtins.dict"}
    with pytest.raises(UserError, match="is no set of captioned images"):
        run_distillation(config)


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("unet", None, "no such folder"),
        ("scheduler", None, "has no scheduler"),
        ("text_encoder", None, "no such folder"),
        ("scheduler", {"prediction_type": "v_prediction"}, "predicts v; choose one that predicts"),
        ("scheduler", {"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule=squaredcos_cap_v2"),
        ("scheduler", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr=True"),
        ("text_encoder", {"hidden_size": 20}, "width 12"),
    ],
)
def test_teachers_that_are_none(tmp_path, tiny_distil, teacher, part, change, words):
    """Catches: a teacher that lacks a part or learned something else, found after an hour."""
    folder = tmp_path / "teacher"
    shutil.copytree(teacher, folder)
    if change is None:
        shutil.rmtree(folder / part)
    else:
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        path = folder / part / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    message = error_of(tiny_distil(tmp_path / "run", f"distil.teacher={folder}"))
    assert message.startswith(f"distil.teacher={folder}") and words in message, message


def test_checkpoint_of_another_training(tmp_path, tiny_distil, distilled):
    """Catches: weights that are mixed, or a training that starts over in their place."""
    distilled(tmp_path, "distil.steps=2")
    for change in ("seed=7", "arm=O751", "kl.weight=0.5", "fake.kind=lora", "guidance=2"):
        message = error_of(tiny_distil(tmp_path, f"distil.{change}"))
        assert f"(distil.{change.split('=')[0]} was " in message, message
        assert message.endswith("choose another distil.dir")


def test_diverged_training_keeps_its_checkpoint(tmp_path, tiny_distil, distilled):
    """Catches: NaN weights that replace the last good checkpoint, or are shipped."""
    distilled(tmp_path, "distil.steps=2")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    wild = ("distil.learning_rate=1e30", "distil.checkpoint_every=5")
    message = error_of(tiny_distil(tmp_path, *wild))
    assert message.startswith("distil.learning_rate=1e+30: a loss is not finite")
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_command_line(run_script, tmp_path, tiny_distil, processes):
    """Catches: a traceback, a line printed by every rank, exit code 1 of one process."""
    fields = tiny_distil(tmp_path / "run", "distil.batch_size=3" if processes else "distil.arm=X")
    done = run_script("distil.py", *fields, processes=processes)
    assert done.returncode == (1 if processes else 2)  # torchrun's own is 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    expected = "distil.batch_size=3: choose a multiple of the 2 processes"
    assert lines == [f"error: {expected}"] if processes else "distil.arm='X'" in lines[0]
    assert len(lines) == 1 and not (tmp_path / "run").exists()
