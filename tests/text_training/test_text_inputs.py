"""Bad input of scripts/train_text.py: one line that names the field and says what is allowed."""

import pytest

from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.text_training.run import run_text_training


def error_of(overrides: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        run_text_training(compose("train_text", overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "begin", "remedy"),
    [
        ("text.stages=[]", "text.stages=[]", "at least one"),
        ("text.stages=[vae,vae]", "text.stages=['vae', 'vae']", "each once"),
        ("text.stages=[unet]", "text.stages=['unet']", "out of encoder, judge, vae"),
        ("text.vae.steps=0", "text.vae.steps=0", "of at least 1"),
        ("text.large.minutes=-1", "text.large.minutes=-1", "of at least 0"),
        ("text.vae.decay_steps=5", "text.vae.decay_steps=5", "from 0 to 4"),
        ("text.encoder.heads=3", "text.encoder.heads=3", "divisor of the width 16"),
        ("text.encoder.batch_size=1", "text.encoder.batch_size=1", "of at least 2"),
        ("text.vae.widths=[8,12]", "text.vae.widths=[8, 12]", "multiples of 8"),
        ("text.vae.widths=[8,8,8,8,8]", "text.vae.widths=[8, 8, 8, 8, 8]", "fewer widths"),
        ("text.large.attention=[true]", "text.large.attention=[True]", "each of the 2 widths"),
        ("text.small.attention=[false,false]", "text.small.attention=", "true for one"),
        ("text.large.heads=3", "text.large.heads=3", "divisor of all of [16, 16]"),
        ("text.large.timesteps=[5,5]", "text.large.timesteps=[5, 5]", "first < end"),
        ("text.small.widths=[16,16]", "text.small.widths=[16, 16]", "smaller U-Net"),
        ("text.judge.seed=0", "text.judge.seed=0", "another seed"),
        ("text.tokens.length=2", "text.tokens.length=2", "of at least 3"),
        ("text.dtype=fp16", "text.dtype='fp16'", "choose one of fp32, bf16"),
        ("text.styled.style=cubist", "text.styled.style='cubist'", "filled, drawn, grey"),
        ("text.lcm.ddim_steps=0", "text.lcm.ddim_steps=0", "from 1 to 1000"),
        ("text.lcm.guidance=-1", "text.lcm.guidance=-1", "of at least 0"),
        ("text.lcm.ddim_steps=30", "text.lcm.ddim_steps=30", "divisor of 1000"),
        ("text.stages=[lcm_small]", "text.stages: no latents", "add cache"),
        ("text.init=/nowhere", "text.init=/nowhere", "a pair's folder"),
        ("data.side=48", "data.side=48", "1, 2, 4, 8, 16, 32, 64"),
        ("data.folder=/nowhere", "data.folder=/nowhere", "check the folder"),
        ("text.stages=[cache]", "text.dir: ", "make it by its stage"),
        ("text.stages=[large]", "text.stages: no latents", "add cache"),
        ("text.stages=[pair]", "text.dir: ", "make it by its stage"),
    ],
)
def test_bad_values(tmp_path, tiny_text, override, begin, remedy):
    """Catches: values that pass and fail later, with a traceback or not at all."""
    message = error_of(tiny_text(tmp_path / "run", override))
    assert message.startswith(begin) and remedy in message


def test_data_without_captions(tmp_path, tiny_text):
    """Catches: a traceback for a data set of classes."""
    config = compose("train_text", tiny_text(tmp_path / "run"))
    config["data"] = {"_target_": "builtins.dict"}
    with pytest.raises(UserError, match="is no set of captioned images"):
        run_text_training(config)


def test_checkpoint_of_another_training(tmp_path, tiny_text, made):
    """Catches: weights that are mixed, or a training that starts over in their place."""
    made(tmp_path, "text.stages=[vae]")
    for change in ("seed=7", "batch_size=2", "widths=[8,8]"):
        message = error_of(tiny_text(tmp_path, "text.stages=[vae]", f"text.vae.{change}"))
        assert f"(text.vae.{change.split('=')[0]} was " in message
        assert message.endswith("choose another text.dir")


def test_unets_keep_to_their_latents(tmp_path, tiny_text, made):
    """Catches: a U-Net that goes on learning in the latents of another autoencoder."""
    brief = ("text.preview.images=0", "text.encoder.steps=2", "text.small.steps=2")
    made(tmp_path, "text.stages=[encoder,vae,cache,small]", *brief)
    made(tmp_path, "text.stages=[vae]", "text.vae.steps=5")
    again = tiny_text(tmp_path, "text.stages=[small]", *brief, "text.small.steps=3")
    assert "it is of other images or networks" in error_of(again)
    made(tmp_path, "text.stages=[cache]")
    assert "does not fit this training (autoencoder was" in error_of(again)


def test_diverged_training_keeps_its_checkpoint(tmp_path, tiny_text, made):
    """Catches: NaN weights that replace the last good checkpoint, or are shipped."""
    made(tmp_path, "text.stages=[vae]")
    before = (tmp_path / "vae" / "checkpoint.pt").read_bytes()
    wild = ("text.vae.learning_rate=1e30", "text.vae.steps=40", "text.vae.decay_steps=0")
    message = error_of(tiny_text(tmp_path, "text.stages=[vae]", *wild))
    assert message.startswith("text.vae.learning_rate=1e+30: the loss is not finite")
    assert (tmp_path / "vae" / "checkpoint.pt").read_bytes() == before


def test_command_line(run_script, tmp_path, tiny_text):
    """Catches: a traceback, a line printed twice, exit code 1."""
    done = run_script("train_text.py", *tiny_text(tmp_path / "run", "text.dtype=fp8"))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: text.dtype='fp8': choose one of fp32, bf16\n"
    assert not (tmp_path / "run").exists()
