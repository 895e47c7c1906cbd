"""Bad input of scripts/train.py: one line that names the field and says what is allowed."""

import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from idx_files import write_idx
from safetensors.torch import load_file

from tstitch.config.cli import compose
from tstitch.files.lock import FolderLock
from tstitch.runtime.errors import UserError
from tstitch.training import recorder
from tstitch.training.run import run_training

PATIENCE_S = 300
NETWORK = "pair.denoisers.small.network"


def error_of(overrides: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        run_training(compose("train", overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "begin", "remedy"),
    [
        (
            "pair=emoji_pipeline",
            "sampler: scripts/train.py takes none",
            "choose a pair that brings none",
        ),
        ("train.denoiser=huge", "train.denoiser='huge'", "choose one of small, large"),
        ("train.steps=-1", "train.steps=-1", "of at least 1"),
        ("train.steps=0", "train.steps=0", "of at least 1"),
        ("train.steps=2.5", "train.steps=2.5", "whole number"),
        ("train.steps=true", "train.steps=True", "whole number"),
        ("train.steps=null", "train.steps=None", "whole number"),
        ("train.batch_size=0", "train.batch_size=0", "of at least 1"),
        ("train.decay_steps=7", "train.decay_steps=7", "from 0 to 6"),
        ("train.warmup_steps=-1", "train.warmup_steps=-1", "of at least 0"),
        ("train.learning_rate=-1e-3", "train.learning_rate=-0.001", "of at least 0"),
        ("train.learning_rate=.nan", "train.learning_rate=", "number"),
        ("train.learning_rate=fast", "train.learning_rate='fast'", "number"),
        (
            "+pair.denoisers.small.process={_target_: samplers.EDM}",
            "train.denoiser=small: has process EDM",
            "LinearVP or ScaledLinearVP of 1000 timesteps",
        ),
        (
            "+pair.denoisers.small.prediction=v",
            "train.denoiser=small: has process LinearVP",
            "predicts eps",
        ),
        ("train.focus_share=1.5", "train.focus_share=1.5", "from 0"),
        ("train.focus=[900,600]", "train.focus=[900, 600]", "0 <= first < end <= 1000"),
        ("train.noise_weight_limit=0.5", "train.noise_weight_limit=0.5", "of at least 1"),
        ("train.grow=true", "train.grow=True", "train.init"),
        ("train.ema_decay=1.5", "train.ema_decay=1.5", "from 0"),
        ("train.label_dropout=-0.1", "train.label_dropout=-0.1", "from 0"),
        ("train.dtype=fp16", "train.dtype='fp16'", "choose one of fp32, bf16"),
        ("train.device=tpu", "train.device='tpu'", "choose one of auto, cpu"),
        ("train.compile=maybe", "train.compile='maybe'", "choose true or false"),
        ("train.latents=stream", "train.latents='stream'", "choose one of encode, cache"),
        ("train.seed=-1", "train.seed=-1", "from 0 to"),
        ("train.seed=99999999999999999999999", "train.seed=99999999999999999999999", "from 0 to"),
        ("train.checkpoint_every=0", "train.checkpoint_every=0", "of at least 1"),
        ("train.snapshots=3", "train.snapshots=3", "list of whole numbers"),
        ("train.snapshots=[0]", "train.snapshots=[0]", "list of whole numbers from 1 to 6"),
        ("train.dir=''", "train.dir=''", "non-empty"),
        ("train.stepz=5", "train.stepz: unknown key", "did you mean train.step"),
        ("+train.stepz=5", "train.stepz: unknown key", "choose one of steps"),
        ("train.steps=[1", "train.steps=[1", "cannot be parsed"),
        ("data=imagenet", "data=imagenet", "choose one of cifar10"),
        ("pair=fashion", "pair=fashion", "choose one of"),
        ("data.folder=/nowhere/at/all", "data.folder=/nowhere/at/all", "missing there"),
        ("data.split=val", "data.split=val", "choose one of train, test"),
        ("+data.size=28", "data.size: unknown key", "choose from folder, split"),
        (
            "data._target_=tstitch.data.datasets.folders",
            "data._target_=tstitch.data.datasets.folders",
            "no such",
        ),
        (f"{NETWORK}.hidden_size=15", f"{NETWORK}.hidden_size=15", "multiple of 4"),
        (f"{NETWORK}.patch_size=5", f"{NETWORK}.patch_size=5", "divisor"),
        (f"+{NETWORK}.deepth=3", f"{NETWORK}.deepth: unknown key", "depth"),
        ("pair.space.size=56", "data: its images are (1, 28, 28)", "(1, 56, 56)"),
        ("pair.space.channels=3", "data: its images are (1, 28, 28)", "(3, 28, 28)"),
        ("pair.classes=1", "data: has label 1", "0 to 0"),
    ],
)
def test_one_line_names_field_and_remedy(tmp_path, tiny, override, begin, remedy):
    """Catches: a check that is missing or comes as a traceback from inside torch."""
    message = error_of(tiny(tmp_path / "run", override))
    assert message.startswith(begin), message
    assert remedy in message, message


def test_a_network_without_a_null_class(tmp_path, tiny):
    """Catches: dropped labels beyond the embedding table, previews that guide all the same."""
    unet = {
        "_class_name": "UNet2DModel", "in_channels": 1, "out_channels": 1,
        "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2,
        "num_class_embeds": 10,
    }  # fmt: skip
    network = {"_target_": "models.diffusers_denoiser.DiffusersDenoiser", "config": unet}
    config = compose("train", tiny(tmp_path / "run", "train.steps=2", "train.sample_every=1"))
    config["pair"]["denoisers"]["small"]["network"] = network
    config["pair"]["order"] = "as_listed"
    with pytest.raises(UserError, match=r"^train.label_dropout=0.1: small has no null class"):
        run_training(config)
    config["train"]["label_dropout"] = 0.0
    run_training(config)
    assert (tmp_path / "run" / "ema.safetensors").is_file()


def test_settings_are_checked_before_anything_is_made(tmp_path, tiny):
    """Catches: a directory left behind by a command that could never run."""
    error_of(tiny(tmp_path / "run", "train.ema_decay=2"))
    assert not (tmp_path / "run").exists()


def test_unwritable_directory(tmp_path, tiny):
    """Catches: a traceback for a path below a file."""
    (tmp_path / "file").write_text("")
    message = error_of(tiny(tmp_path / "file" / "run"))
    assert message.startswith(f"train.dir={tmp_path / 'file' / 'run'}: cannot be written")


def test_missing_data_folder(tmp_path):
    """Catches: OmegaConf's own words for a value that must be given."""
    with pytest.raises(UserError, match=r"^data.folder: missing; give it a value$"):
        compose("train", ["data=idx_folder"])


def test_no_images(tmp_path, tiny):
    """Catches: a division by zero for an empty data set."""
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((0, 28, 28)))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(0))
    message = error_of(tiny(tmp_path / "run", f"data.folder={tmp_path}"))
    assert message == "data: holds no images; check its folder"


def test_checkpoint_of_another_network(tmp_path, tiny, trained):
    """Catches: weights that are mixed, or a training that starts over in their place."""
    trained(tmp_path, "train.steps=2")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    message = error_of(tiny(tmp_path, f"{NETWORK}.hidden_size=20"))
    assert message.startswith(f"train.dir: {tmp_path / 'checkpoint.pt'} does not fit")
    assert "choose another train.dir" in message
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_damaged_checkpoint(tmp_path, tiny, content):
    """Catches: a training that silently starts over on a checkpoint it cannot read."""
    (tmp_path / "checkpoint.pt").write_bytes(content)
    message = error_of(tiny(tmp_path))
    assert message.startswith(f"train.dir: {tmp_path / 'checkpoint.pt'} does not fit")


def test_command_line(run_script, tmp_path, tiny):
    """Catches: a traceback, a line printed twice, exit code 1."""
    done = run_script("train.py", *tiny(tmp_path, "train.dtype=fp8"))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: train.dtype='fp8': choose one of fp32, bf16\n"


def test_interrupted(script_line, environment, tmp_path, tiny):
    """Catches: a traceback after Ctrl-C, a user who does not know that the command can go on."""
    words = tiny(tmp_path, "train.steps=100000", "train.decay_steps=0", "train.checkpoint_every=2")
    process = subprocess.Popen(
        script_line("train.py", *words), env=environment, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + PATIENCE_S
    while not (tmp_path / "checkpoint.pt").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130 and "Traceback" not in told
    assert told.splitlines()[-1] == "stopped; the same command goes on from here"


@pytest.mark.slow
def test_command_line_of_two_processes(run_script, tmp_path, tiny):
    """Catches: a batch that does not divide evenly, an error printed by every rank."""
    done = run_script("train.py", *tiny(tmp_path, "train.batch_size=7"), processes=2)
    line = "error: train.batch_size=7: choose a multiple of the 2 processes\n"
    assert done.returncode == 1 and done.stderr.count("error: train.") == 1
    assert line in done.stderr and 'File "scripts' not in done.stderr
    assert "exitcode  : 2" in done.stderr


@pytest.mark.parametrize("change", ["seed=1", "batch_size=4", "flip=true"])
def test_resume_on_other_batches_is_refused(tmp_path, tiny, trained, change):
    """Catches: a resumed training that silently sees other batches than an undisturbed one."""
    trained(tmp_path, "train.steps=2")
    message = error_of(tiny(tmp_path, f"train.{change}"))
    assert f"(train.{change.split('=')[0]} was " in message
    assert "choose another train.dir" in message


def test_init_starts_from_weights(tmp_path, trained):
    """Catches: train.init ignored, so that a fine-tuning starts from nothing."""
    trained(tmp_path / "first")
    weights = tmp_path / "first" / "ema.safetensors"
    still = ("train.steps=2", "train.learning_rate=0", f"train.init={weights}")
    trained(tmp_path / "second", *still)
    first, second = (load_file(tmp_path / run / "ema.safetensors") for run in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_init_without_a_file(tmp_path, tiny):
    """Catches: a message that names the pair's weights, or a training from nothing."""
    message = error_of(tiny(tmp_path, "train.init=/nowhere.pt"))
    assert message.startswith("train.init: '/nowhere.pt': no such file")


def test_diverged_training_keeps_its_checkpoint(tmp_path, tiny, trained):
    """Catches: NaN weights that replace the last good checkpoint."""
    trained(tmp_path, "train.steps=2")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    message = error_of(tiny(tmp_path, "train.learning_rate=1e30", "train.steps=40"))
    assert message.startswith("train.learning_rate=1e+30: the gradient of step ")
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    assert before and all(torch.isfinite(value).all() for value in saved.values())


def test_divergence_found_late_names_its_step(tmp_path, tiny, trained, monkeypatch):
    """Catches: on a device, where numbers are read when a file is due, the step at which they were
    read named instead, or the checkpoint written before they are read.
    """
    wild = ("train.learning_rate=1e30", "train.steps=40", "train.log_every=7")
    trained(tmp_path, "train.steps=2")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    at_once = error_of(tiny(tmp_path, *wild, "train.checkpoint_every=6"))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    monkeypatch.setattr(recorder, "READ_AT_ONCE", ())
    assert error_of(tiny(tmp_path, *wild, "train.checkpoint_every=6")) == at_once
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.glob("ema*")] == ["ema.safetensors"]


def test_folder_of_a_training_at_work_is_refused(tmp_path, tiny, monkeypatch):
    """Catches: two trainings that write one checkpoint in turns."""
    monkeypatch.setattr("tstitch.files.lock.LOCK_WAIT_S", 0.1)
    other = FolderLock(tmp_path, "train.dir", "training")
    other.take()
    message = error_of(tiny(tmp_path))
    assert message.startswith(f"train.dir={tmp_path}: another training is working there")
    other.release()
    run_training(compose("train", tiny(tmp_path)))
    assert (tmp_path / "ema.safetensors").is_file()


def test_ldm_is_sampled_alone(tmp_path, tiny):
    """Catches: labels dropped to the class behind the last, an encoder that is not there."""
    config = compose("train", tiny(tmp_path / "run", "train.steps=2"))
    network = {"_target_": "models.ldm.LDMDenoiser", "model_channels": 32, "context_dim": 8}
    network |= {"channel_mult": [1, 2], "attention_resolutions": [2]}
    config["pair"]["denoisers"]["small"]["network"] = network
    config["pair"]["order"] = "as_listed"
    with pytest.raises(UserError, match=r"^train.denoiser=small: its null condition is noise"):
        run_training(config)
    network["null_condition"] = "learned"
    space = {"_target_": "models.vq_space.VQSpace", "vq": "random", "size": 28, "channels": 1}
    config["pair"]["space"] = space | {"widths": [32], "attention_sides": [], "codebook": 4}
    with pytest.raises(UserError, match=r"^pair.space: VQSpace only decodes"):
        run_training(config)
