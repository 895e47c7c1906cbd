"""Students sampled as denoisers of a pair, by runs of prompts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from evaluation.cost.flops import count_flops
from models.diffusers_denoiser import DiffusersDenoiser
from models.spaces import VAESpace
from models.text_encoder import ClipText
from samplers import PerImageRandomness, ScaledLinearVP
from tstitch.config.cli import compose
from tstitch.distil.denoiser import Student
from tstitch.distil.plan import student_plan, timesteps_of
from tstitch.maker.parse import parse_experiment
from tstitch.run.generate import run_sampling
from tstitch.runtime.errors import UserError

PROMPTS = ["a cat", "two birds"]
SIZES = {"input_size": 8, "in_channels": 4, "num_classes": 2}


@pytest.fixture(scope="module")
def of_student(teacher):
    """Function (pair, unet/, *overrides) -> overrides of a run of its student."""

    def overrides(pair: str, source: Path, *more: str) -> list[str]:
        return [
            f"pair={pair}", f"pair.denoisers.student.network.source={source}",
            f"pair.text_encoder.source={teacher}", f"pair.space.vae={teacher}/vae",
            "pair.space.size=8", "pair.space.channels=4", f"pair.prompts={PROMPTS}",
            "evaluation=none", "run.num_images=5", "run.batch_size=2", "run.device=cpu", *more,
        ]  # fmt: skip

    return overrides


def expected_images(arm: str, unet: Path, teacher: Path) -> np.ndarray:
    """The first images of a run with seed 0, made step by step."""
    randomness = PerImageRandomness(0, range(5), (4, 8, 8))
    states = ClipText(str(teacher)).encode(PROMPTS, torch.device("cpu"))["encoder_hidden_states"]
    network = UNet2DConditionModel.from_pretrained(unet).float()
    plan = student_plan(ScaledLinearVP(), arm, *timesteps_of(arm, None, None))
    with torch.no_grad():
        x_0, _ = plan(network, randomness.initial(), states[[0, 1, 0, 1, 0]])
    return VAESpace(f"{teacher}/vae", 8, 4).decode(x_0).numpy()


@pytest.mark.parametrize(
    ("pair", "arm", "nfe", "ranks"),
    [
        ("emoji_tiue", "U", 1, (0,)),
        pytest.param("emoji_tiue", "U", 1, (0, 2), marks=pytest.mark.slow),
        pytest.param("emoji_m4", "M4", 4, (0,), marks=pytest.mark.slow),
    ],
)
def test_images_are_those_of_the_plan(
    tmp_path, of_student, students, teacher, run_script, pair, arm, nfe, ranks
):
    """Catches: another plan than a student was trained for, images that depend on the processes,
    a number of evaluations that leaves some out.
    """
    made = []
    for processes in ranks:
        folder = tmp_path / str(processes)
        fields = of_student(pair, students(arm), f"run.dir={folder}")
        if len(ranks) == 1:
            run_sampling(compose("sample", fields))
        else:
            done = run_script("sample.py", *fields, processes=processes)
            assert done.returncode == 0, done.stderr
        made.append((folder / "samples.npz").read_bytes())
        images = np.load(folder / "samples.npz")["arr_0"]
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["nfe_per_image"] == nfe
    assert made[0] == made[-1]
    expected = expected_images(arm, students(arm), teacher)
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_arithmetic_is_of_encoder_and_all_decoders(students):
    """Catches: a pass that is counted as one of an ordinary network."""
    one_step, tiue = str(students("O999")), str(students("U"))
    with torch.device("meta"):
        plain = DiffusersDenoiser(source=tiue, **SIZES)
        one, four = Student(source=one_step, **SIZES), Student(source=tiue, **SIZES)
    flops = [count_flops(network, (4, 8, 8)) for network in (plain, one, four)]
    assert flops[1] == pytest.approx(flops[0], rel=1e-2)  # it embeds the time twice
    decoder = (flops[2] - flops[1]) / 3
    assert 0.5 * flops[0] < decoder < flops[0]


@pytest.mark.parametrize(
    "name", ["tiue_sd15", pytest.param("tiue_sd21_base", marks=pytest.mark.slow)]
)
def test_released_students(tmp_path, teacher, run_script, of_student, name):
    """Catches: a configuration of published students that cannot be run."""
    unet = teacher / "unet"
    weights = f"pair.denoisers.student.weights={unet}/diffusion_pytorch_model.safetensors"
    fields = of_student(name, unet, weights, f"run.dir={tmp_path}", "run.num_images=2")
    done = run_script("sample.py", *fields)
    assert done.returncode == 0, done.stderr
    images = np.load(tmp_path / "samples.npz")["arr_0"]
    assert np.abs(images.astype(int) - expected_images("U", unet, teacher)[:2]).max() <= 1


def error_of(overrides: list[str]) -> str:
    with pytest.raises(UserError) as caught:
        parse_experiment(compose("sample", overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_refusals(of_student, students, teacher):
    """Catches: a student under a sampler that gives it half-noised latents, under guidance, with
    the plan of another one, or without any.
    """
    unet = students("U")
    path = "pair.denoisers.student.network"
    for pair, source, override, begin, remedy in (
        ("emoji_tiue", unet, "sampler=ddim", "sampler._target_=", "choose sampler=loopfree"),
        ("emoji_tiue", unet, "guidance.scale=2", "guidance.scale=2", "set guidance.scale=1"),
        ("emoji_tiue", students("M4"), "run.seed=0", f"{path}.source=", "pair=emoji_m4"),
        ("emoji_tiue", teacher / "unet", "run.seed=0", f"{path}.timesteps=", "has no tiue.json"),
        ("emoji_tiue", unet, f"+{path}.timesteps=[751]", f"{path}.clean=None", "with timesteps"),
        ("tiue_sd15", unet, "run.seed=0", "pair.denoisers.student.weights", "missing"),
    ):
        message = error_of(of_student(pair, source, override))
        assert message.startswith(begin) and remedy in message, message
    fields = ("pair.denoisers.student.weights=random", f"{path}.timesteps=[1]")
    message = error_of(of_student("tiue_sd15", unet, *fields))
    assert message.startswith(f"{path}.timesteps=[1]") and "noisier one" in message


def test_a_damaged_plan(tmp_path, of_student, students):
    """Catches: a traceback of JSON."""
    for path in students("U").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tiue.json").write_text("{")
    message = error_of(of_student("emoji_tiue", tmp_path))
    assert "its tiue.json cannot be read; get it again" in message
